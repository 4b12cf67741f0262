"""CSV that a spreadsheet can open: cells that it would take for formulas are made text.

A cell of text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return gets an apostrophe before it (OWASP, *CSV
Injection*), and so does one that begins with apostrophes before such a character, so that the first apostrophe can
always be taken off again. Numbers are left alone. `raw` writes cells as they are, for programs.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

BYTE_ORDER_MARK: Final = "\ufeff".encode()
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")


class CsvForm(NamedTuple):
    """How a table is written: by default for spreadsheets, without a byte order mark."""

    raw: bool = False
    byte_order_mark: bool = False


def csv_bytes(header: Sequence[str], rows: Iterable[Iterable[Any]], form: CsvForm) -> bytes:
    """RFC 4180 in UTF-8: CRLF, a header line, empty cells for None, `true` and `false`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_cell(value, raw=form.raw) for value in row] for row in rows)
    return (BYTE_ORDER_MARK if form.byte_order_mark else b"") + text.getvalue().encode()


def unguarded(cell: str) -> str:
    """The text of a cell that `csv_bytes` may have made safe for spreadsheets."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _cell(value: Any, *, raw: bool) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if not raw and isinstance(value, str) and _FORMULA.match(value):
        return f"'{value}"
    return value
