"""The essays of a batch for a spreadsheet program."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import xlsxwriter
from starlette.responses import Response

_COLUMNS: Final = (
    ("essay_id", "essay_id"),
    ("file_name", "filename"),
    ("state", "state"),
    ("corrections", "spellcheck_correction_count"),
    ("words", "words"),
    ("language_errors", "language_errors"),
    ("rank", "cj_rank"),
    ("score", "cj_score"),
    ("score_of_ras", "theta"),
    ("lower_95", "lower"),
    ("upper_95", "upper"),
    ("best_rank_95", "best_rank"),
    ("worst_rank_95", "worst_rank"),
    ("grade", "grade"),
    ("confidence", "confidence"),
)
_SPREADSHEET: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def as_csv(batch_id: str, essays: Iterable[Mapping[str, Any]]) -> Response:
    """Return the essays as CSV (RFC 4180), with the mark by which spreadsheet programs know UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([name for name, _ in _COLUMNS])
    writer.writerows([_harmless(each[key]) for _, key in _COLUMNS] for each in essays)
    return _download(text.getvalue().encode("utf-8-sig"), batch_id, "csv", "text/csv; charset=utf-8")


def as_spreadsheet(batch_id: str, essays: Iterable[Mapping[str, Any]]) -> Response:
    """Return the essays as an Excel file. Texts stay texts: a file may be called `=1+1`."""
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as workbook:
        sheet = workbook.add_worksheet("essays")
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, 1, 30)
        for column, (name, _) in enumerate(_COLUMNS):
            sheet.write(0, column, name)
        for row, each in enumerate(essays, 1):
            for column, (_, key) in enumerate(_COLUMNS):
                if each[key] is not None:
                    sheet.write(row, column, each[key])
    return _download(content.getvalue(), batch_id, "xlsx", _SPREADSHEET)


def _harmless(value: Any) -> Any:
    """Return a value that no spreadsheet program takes for a formula (CWE-1236)."""
    return (
        f"'{value}"
        if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        else value
    )


def _download(content: bytes, batch_id: str, kind: str, media_type: str) -> Response:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", batch_id)[:80]
    return Response(
        content,
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}-essays.{kind}"'},
    )
