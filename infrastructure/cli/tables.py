"""Rows of a command's output: a table where it fits the terminal, else blocks; tab-separated in a pipe. Nothing is cut.

A row that is too wide keeps its first columns on one line. The others follow below it, each with its heading, broken
at blanks where that is possible. In a pipe or a file there is a line of headings and a line per row, cells between
tabs, and no padding: the same on every terminal and in every run.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from infrastructure.visible import visible

_GAP: Final = 2
_INDENT: Final = 4
_NARROWEST_LAST: Final = 20


def print_rows(
    out: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    first: int | None = None,
    wide: bool = False,
) -> None:
    """Print `rows`; `wide` never folds.

    Where a row is wider than the terminal, the `first` columns stay together: by default as many as there is room for.
    """
    if not out.is_terminal:
        for row in (headings, *rows):
            line = "\t".join(map(visible, row))
            # typer would write UTF-8 where the encoding lacks a character, and all other lines have escapes.
            typer.echo(line.encode(out.encoding, "backslashreplace").decode(out.encoding))
        return
    if wide or sum(_widths(headings, rows)) + _GAP * (len(headings) - 1) <= out.width:
        _print_grid(out, headings, rows, no_wrap=True)
        return
    _print_blocks(out, headings, rows, first or _with_room(out, headings, rows))


def _print_grid(
    out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], *, no_wrap: bool
) -> None:
    widths = _widths(headings, rows)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, overflow="fold", no_wrap=no_wrap, min_width=width if no_wrap else None)
    for row in rows:
        table.add_row(*row)
    # A terminal wraps by itself what `wide` makes wider than it is.
    out.print(table, width=max(out.width, sum(widths) + _GAP * len(widths)), crop=False, soft_wrap=no_wrap)


def _with_room(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how many columns fit on a line of the terminal, at least one."""
    ends = accumulate(width + _GAP for width in _widths(headings, rows))
    return max(1, sum(end - _GAP <= out.width for end in ends))


def _print_blocks(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> None:
    while first > 1 and not _can_be_last(out, headings, rows, first):
        first -= 1
    widths = _widths(headings[: first - 1], [row[: first - 1] for row in rows])
    for row in [headings[:first], *rows]:
        line = Table.grid(padding=(0, _GAP, 0, 0))
        for width in widths:
            line.add_column(width=width, no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(*row[:first])
        out.print(line)
        details = [
            f"{heading} {cell}"
            for heading, cell in zip(headings[first:], row[first:], strict=False)
            if cell and row is not headings
        ]
        for text in _lines(details, out.width - _INDENT):
            out.print(Padding(text, (0, 0, 0, _INDENT)))


def _can_be_last(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> bool:
    """Whether the last of the first columns has room, for sentences broken at blanks: no id is broken that fits below."""
    *before, width = _widths(headings[:first], [row[:first] for row in rows])
    room = out.width - sum(before) - _GAP * len(before)
    if width <= room:
        return True
    longest = max(cell_len(word) for row in rows for word in row[first - 1].split() or [""])
    fits_below = cell_len(headings[first - 1]) + 1 + longest <= out.width - _INDENT
    return room >= _NARROWEST_LAST and not (longest > room and fits_below)


def _lines(details: Sequence[str], width: int) -> list[str]:
    """Put as many details on a line as fit; one that is longer has a line of its own, which is folded."""
    lines: list[str] = []
    for detail in details:
        if lines and cell_len(lines[-1]) + cell_len(detail) + 3 <= width:
            lines[-1] += f" · {detail}"
        else:
            lines.append(detail)
    return lines


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max([cell_len(heading), *(cell_len(row[number]) for row in rows)])
        for number, heading in enumerate(headings)
    ]
