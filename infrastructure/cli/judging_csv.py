"""Reads judge decisions from CSV, without guessing at anything.

Names are text, kept as they are: `NA`, `N/A`, `007` and ` 7` are four different names. Equal rows are
separate decisions. Columns are found by the header, in any order; further columns and blank lines are
skipped. Everything else that is not a decision is refused, with the line.
"""

from __future__ import annotations

import csv
import io
import sys
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from infrastructure.errors import OperatorError

COLUMNS = ("judge", "chosen", "not_chosen")
_NAMED = "the columns judge, chosen and not_chosen"


class DecisionsFileError(OperatorError, ValueError):
    """The file is no table of decisions; the text is one sentence with the file and, if any, the line."""

    exit_code = 2


class DecisionColumns(NamedTuple):
    """Three parallel columns, in the order of the file."""

    judges: tuple[str, ...]
    chosen: tuple[str, ...]
    not_chosen: tuple[str, ...]


def read_decisions(source: str) -> DecisionColumns:
    """The decisions in the file `source`, or on standard input if it is `-`. Raises DecisionsFileError."""
    name = "standard input" if source == "-" else source
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise DecisionsFileError(f"{name}: cannot be read: {error.strerror or error}.") from error
    return parse_decisions(raw, name)


def parse_decisions(raw: bytes, name: str) -> DecisionColumns:
    """The decisions in UTF-8 CSV text (a byte order mark is skipped). Raises DecisionsFileError."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DecisionsFileError(f"{name}, line {line}: the text is not UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    decisions: list[tuple[str, str, str]] = []
    try:
        header = next((row for row in reader if not _is_blank(row)), None)
        if header is None:
            raise DecisionsFileError(f"{name}: the file is empty; it needs a header with {_NAMED}.")
        pick = itemgetter(*_places_in(header, f"{name}, line {reader.line_num}"))
        for row in reader:
            # One test for a row as it should be: files have a hundred thousand of them.
            if len(row) != len(header) or not all(map(str.strip, pick(row))):
                if _is_blank(row):
                    continue
                if fault := _fault_of(row, header):
                    raise DecisionsFileError(f"{name}, line {reader.line_num}: {fault}")
            decisions.append(pick(row))
    except csv.Error as error:
        raise DecisionsFileError(f"{name}, line {reader.line_num}: not CSV: {error}.") from error
    if not decisions:
        raise DecisionsFileError(f"{name}: there are no decisions below the header.")
    return DecisionColumns(*zip(*decisions, strict=True))


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _places_in(header: list[str], where: str) -> tuple[int, int, int]:
    found = [cell.strip() for cell in header]
    for column in COLUMNS:
        if found.count(column) != 1:
            how = "more than once" if column in found else "not"
            raise DecisionsFileError(f"{where}: the header names {column} {how}; it needs {_NAMED}.")
    judge, chosen, not_chosen = map(found.index, COLUMNS)
    return judge, chosen, not_chosen


def _fault_of(row: list[str], header: list[str]) -> str | None:
    """What keeps a row from being a decision, None if nothing: it may lack cells of further columns."""
    for column, place in zip(COLUMNS, _places_in(header, ""), strict=True):
        if place >= len(row):
            return f"{column} is missing ({len(row)} of {len(header)} cells)."
        if not row[place].strip():
            return f"{column} is empty."
    if any(row[len(header) :]):
        # An unquoted comma in a name would shift what follows into the wrong column.
        return f"there are {len(row)} cells, but the header has {len(header)}."
    return None
