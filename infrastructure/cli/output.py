"""Where commands print their tables."""

from __future__ import annotations

from typing import Final

from rich.console import Console

_WIDE_ENOUGH: Final = 100_000


def console() -> Console:
    """Return standard output as wide as the terminal; into a pipe or a file nothing is cut or wrapped."""
    on_terminal = Console(highlight=False, markup=False, emoji=False)
    if on_terminal.is_terminal:
        return on_terminal
    return Console(highlight=False, markup=False, emoji=False, width=_WIDE_ENOUGH, soft_wrap=True)
