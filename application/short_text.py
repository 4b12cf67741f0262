"""The rule for short texts that operators write into the history: who did something, and why."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 500
"""Characters."""

SHORT_TEXT: Final = f"a text of 1 to {LONGEST} characters, printable, on one line"


def is_short_text(text: str) -> bool:
    """Whether `text` is what `SHORT_TEXT` describes."""
    return bool(text.strip()) and len(text) <= LONGEST and text.isprintable()
