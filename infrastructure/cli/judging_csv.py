"""Reads judge decisions from CSV as people's programs write it, and says what it took the file for.

Names are text, kept as they are: `NA`, `N/A`, `007` and ` 7` are four different names. Equal rows are separate
decisions. Encoding, separator and columns are detected, or given; further columns and blank lines are skipped.
Everything else that is not a decision is refused, with the line.

- Encoding: a byte order mark decides; without one UTF-8, else UTF-16 where every other byte is 0, else
  Windows-1252, which spreadsheets write.
- Separator: comma, semicolon, tab or bar, the one that finds the columns; Excel's first line `sep=;` decides.
- Columns: `COLUMNS` by name or by one of their usual other names, upper and lower case alike. Instead of `chosen` and
  `not_chosen` there may be the two texts as shown, `first` and `second`, and `chosen`: a name, `first` or `second`, or
  a word for undecided.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from infrastructure.errors import OperatorError
from infrastructure.input_files import read_input

if TYPE_CHECKING:
    from domain.comparison_graph import Comparisons

COLUMNS: Final = ("judge", "chosen", "not_chosen")
OPTIONAL: Final = ("shown_first", "tied", "first", "second")
SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of Excel (.xlsx, .xls) and LibreOffice (.ods) begin: no text, but Windows-1252 reads nearly anything."""
_NAMED: Final = "the columns judge, chosen and not_chosen"
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "judge": ("judges", "assessor", "rater", "marker", "judge_name", "bedömare", "domare"),
    "chosen": ("winner", "won", "preferred", "better", "choice", "vald", "vinnare", "valde", "bäst"),
    "not_chosen": ("loser", "lost", "notchosen", "rejected", "worse", "ej_vald", "inte_vald", "förlorare"),
    "shown_first": ("first_shown", "visad_först", "visades_först"),
    "tied": ("tie", "undecided", "draw", "oavgjord", "oavgjort", "ingen_skillnad", "no_difference"),
    "first": ("left", "text_a", "item_a", "essay_a", "vänster"),
    "second": ("right", "text_b", "item_b", "essay_b", "höger"),
}
_UNDECIDED: Final = frozenset(
    [
        "tie",
        "tied",
        "draw",
        "undecided",
        "equal",
        "=",
        "neither",
        "oavgjord",
        "oavgjort",
        "lika",
        "ingen",
        "no difference",
        "ingen skillnad",
    ]
)
_YES: Final = _UNDECIDED | {"1", "true", "yes", "y", "x", "ja", "j", "sant"}
_NO: Final = frozenset(("", "0", "false", "no", "n", "nej", "decided", "falskt", "-"))
_SIDES: Final = {"first": 0, "left": 0, "a": 0, "1": 0, "second": 1, "right": 1, "b": 1, "2": 1}


class DecisionsFileError(OperatorError, ValueError):
    """The file is not a table of decisions; the text is one sentence with the file and, if any, the line."""

    exit_code = 2


class DecisionColumns(NamedTuple):
    """Parallel columns, in the order of the file; the last two are None where the file has no such column.

    `found` tells in words how the file was read, None where it is UTF-8 with commas and the usual columns.
    """

    judges: tuple[str, ...]
    chosen: tuple[str, ...]
    not_chosen: tuple[str, ...]
    shown_first: tuple[str, ...] | None = None
    tied: tuple[bool, ...] | None = None
    found: str | None = None


@dataclass(frozen=True, slots=True)
class FileForm:
    """What is given about a file instead of being detected. `columns` maps names in the file to ours."""

    separator: str | None = None
    encoding: str | None = None
    columns: Mapping[str, str] | None = None


def parse_columns(given: str) -> dict[str, str]:
    """`winner=chosen,loser=not_chosen` as a mapping from the file's names to ours. Raises DecisionsFileError."""
    found: dict[str, str] = {}
    for part in given.split(","):
        theirs, equals, ours = (piece.strip() for piece in part.partition("="))
        if not equals or not theirs or ours not in (*COLUMNS, *OPTIONAL):
            allowed = ", ".join((*COLUMNS, *OPTIONAL))
            raise DecisionsFileError(
                f"--columns: {part.strip()!r} is not NAME=COLUMN, where COLUMN is one of {allowed}."
            )
        found[theirs] = ours
    return found


def read_decisions(source: str, form: FileForm | None = None) -> DecisionColumns:
    """The decisions in the file `source`, or on standard input if it is `-`. Raises DecisionsFileError."""
    name = "standard input" if source == "-" else source
    try:
        raw = read_input(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DecisionsFileError(f"{name}: cannot be read: {reason}.") from error
    return parse_decisions(raw, name, form)


def comparisons_of(columns: DecisionColumns, source: str) -> Comparisons:
    """The decisions for scoring. Raises DecisionsFileError where they cannot be scored."""
    from domain.comparison_graph import (  # numpy: a broken file is refused before
        Comparisons,
        JudgingDataError,
    )

    try:
        return Comparisons.from_names(
            columns.judges,
            columns.chosen,
            columns.not_chosen,
            shown_first=columns.shown_first,
            tied=columns.tied,
        )
    except JudgingDataError as error:
        raise DecisionsFileError(f"{source}: {error}.") from error


def parse_decisions(raw: bytes, name: str, form: FileForm | None = None) -> DecisionColumns:
    """The decisions in CSV text. Raises DecisionsFileError."""
    form = form or FileForm()
    text, encoding = decoded_text(raw, name, form.encoding)
    text, declared = _without_separator_line(text)
    separator = form.separator or declared or _separator_of(text, form.columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    how = f"read as {encoding}, separated by {SEPARATORS.get(separator, repr(separator))}"
    try:
        header = next((row for row in reader if not _is_blank(row)), None)
        if header is None:
            raise DecisionsFileError(f"{name}: the file is empty; it needs a header with {_NAMED}.")
        places = _places_in(header, f"{name}, line {reader.line_num}", form.columns, how)
        decisions = list(_rows(reader, header, places, name))
    except csv.Error as error:
        raise DecisionsFileError(f"{name}, line {reader.line_num}: not CSV ({how}): {error}.") from error
    if not decisions:
        raise DecisionsFileError(f"{name}: there are no decisions below the header.")
    judges, chosen, not_chosen, shown_first, tied = zip(*decisions, strict=True)
    usual = encoding == "UTF-8" and separator == "," and all(header[places[c]].strip() == c for c in places)
    return DecisionColumns(
        judges,
        chosen,
        not_chosen,
        shown_first if any(shown_first) else None,
        tied if any(tied) else None,
        None if usual else _in_words(how, header, places),
    )


_Row = tuple[str, str, str, str, bool]


def _rows(
    reader: Iterator[list[str]], header: list[str], places: Mapping[str, int], name: str
) -> Iterator[_Row]:
    plain = set(places) == set(COLUMNS)
    judge, chosen, other = (places.get(column, -1) for column in COLUMNS)
    for row in reader:
        if plain and len(row) == len(header):
            # One test for a row as it should be: files have a hundred thousand of them.
            picked = row[judge], row[chosen], row[other]
            if all(map(str.strip, picked)):
                yield (*picked, "", False)
                continue
        if _is_blank(row):
            continue
        fault = _fault_of(row, header, places)
        decision = fault or _decision(row, places)
        if isinstance(decision, str):
            raise DecisionsFileError(f"{name}, line {reader.line_num}: {decision}")  # type: ignore[attr-defined]
        yield decision


def _decision(row: Sequence[str], places: Mapping[str, int]) -> _Row | str:
    """The decision in a row, or what is wrong with it."""

    def cell(column: str) -> str:
        return row[places[column]] if column in places and places[column] < len(row) else ""

    judge, chosen = cell("judge"), cell("chosen")
    mark = cell("tied").strip().casefold()
    if mark not in _YES and mark not in _NO:
        return f"the column for undecided comparisons is {cell('tied')!r}; use yes or no."
    tied = mark in _YES
    if "not_chosen" in places:
        first = cell("shown_first")
        if first and first not in (chosen, cell("not_chosen")):
            return f"shown_first is {first!r}, which is neither of the two texts compared."
        return judge, chosen, cell("not_chosen"), first, tied
    sides = cell("first"), cell("second")
    word = chosen.strip().casefold()
    if chosen in sides:
        won = sides.index(chosen)
    elif word in _SIDES:
        won = _SIDES[word]
    elif word in _UNDECIDED or tied:
        won, tied = 0, True
    else:
        return f"chosen is {chosen!r}, which is neither of the two texts, nor first or second, nor undecided."
    return judge, sides[won], sides[1 - won], sides[0], tied


def decoded_text(raw: bytes, name: str, given: str | None) -> tuple[str, str]:
    """The text of a file and its encoding, detected unless given. Raises DecisionsFileError."""
    if raw.startswith(_WORKBOOKS):
        raise DecisionsFileError(
            f"{name}: this is a spreadsheet's own format (or a ZIP file). Save it there as CSV."
        )
    if given is not None:
        try:
            return raw.decode(given).removeprefix("\ufeff"), given
        except LookupError:
            raise DecisionsFileError(f"--encoding: {given!r} is not the name of an encoding.") from None
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise DecisionsFileError(f"{name}, line {line}: the text is not {given}.") from error
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        tried = [("utf-16", "UTF-16")]
    elif len(raw) >= 4 and raw[1::2].count(0) > len(raw) // 4:
        tried = [("utf-16-le", "UTF-16")]
    elif len(raw) >= 4 and raw[::2].count(0) > len(raw) // 4:
        tried = [("utf-16-be", "UTF-16")]
    else:
        tried = [("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252")]
    place = 0
    for codec, label in tried:
        try:
            return raw.decode(codec), label
        except UnicodeDecodeError as error:
            place = error.start
    line = raw.count(b"\n", 0, place) + 1
    names = " nor ".join(label for _, label in tried)
    which = "neither " if len(tried) > 1 else "not "
    raise DecisionsFileError(f"{name}, line {line}: the text is {which}{names}; give its --encoding.")


def _without_separator_line(text: str) -> tuple[str, str | None]:
    if match := re.match(r'"?sep=(.)"?\r?\n', text, re.IGNORECASE):
        return text[match.end() :], match[1]
    return text, None


def _separator_of(text: str, columns: Mapping[str, str] | None) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "")

    def quality(separator: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([line], delimiter=separator), [])
        except csv.Error:
            return 0, 0
        known = {_column_of(cell, columns) for cell in cells} - {None}
        return len(known), len(cells)

    return max(SEPARATORS, key=quality)


def _column_of(cell: str, columns: Mapping[str, str] | None) -> str | None:
    """Our name for a column of the file, None for one that is not needed."""
    if columns and cell.strip() in columns:
        return columns[cell.strip()]
    name = unicodedata.normalize("NFC", re.sub(r"[\s\-]+", "_", cell.strip().casefold()))
    if name in (*COLUMNS, *OPTIONAL):
        return name
    return next((ours for ours, others in _ALIASES.items() if name in others), None)


def _places_in(header: list[str], where: str, columns: Mapping[str, str] | None, how: str) -> dict[str, int]:
    named = [cell.strip() for cell in header]
    if columns and (absent := [theirs for theirs in columns if theirs not in named]):
        raise DecisionsFileError(
            f"{where}: the header has no column {absent[0]!r}; it has {', '.join(named)} ({how})."
        )
    found: dict[str, list[int]] = {}
    given = set((columns or {}).values())
    for place, cell in enumerate(header):
        column = _column_of(cell, columns)
        if column is not None and (column not in given or (columns and cell.strip() in columns)):
            found.setdefault(column, []).append(place)
    # The exact name wins over another name for the same column.
    for column, places in found.items():
        exact = [place for place in places if named[place] == column]
        found[column] = exact if exact and column not in given else places
    shown = ", ".join(named)
    needed = ("judge", "chosen", "first", "second") if {"first", "second"} <= set(found) else COLUMNS
    if "not_chosen" in found:
        needed = COLUMNS
    for column in (*needed, *OPTIONAL):
        times = len(found.get(column, ()))
        if times > 1 or (times == 0 and column in needed):
            fault = f"has the column {column} more than once" if times else f"has no column {column}"
            raise DecisionsFileError(
                f"{where}: the header {fault}; it needs {_NAMED}. Found: {shown} ({how}). "
                f"Other names can be given: --columns NAME={column}."
            )
    wanted = (*needed, "tied") if needed is not COLUMNS else (*COLUMNS, "shown_first", "tied")
    return {column: found[column][0] for column in wanted if column in found}


def _in_words(how: str, header: Sequence[str], places: Mapping[str, int]) -> str:
    names = ", ".join(f"{header[place].strip()} as {column}" for column, place in places.items())
    return f"The file was {how}; columns: {names}."


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _fault_of(row: list[str], header: list[str], places: Mapping[str, int]) -> str | None:
    """What keeps a row from being a decision, None if nothing: it may lack cells of further columns."""
    for column in places:
        if column in ("shown_first", "tied"):
            continue
        if places[column] >= len(row):
            return f"{column} is missing ({len(row)} of {len(header)} cells)."
        if not row[places[column]].strip():
            return f"{column} is empty."
    if any(row[len(header) :]):
        # An unquoted comma in a name would shift what follows into the wrong column.
        return f"there are {len(row)} cells, but the header has {len(header)}."
    return None
