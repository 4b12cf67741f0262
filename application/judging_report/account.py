"""What a judging report tells, section by section: one account for the HTML file and for the pages.

The reader may know nothing of the field: each term is explained where it first stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.judging_report.contents import ReportContents
from application.judging_report.figure import Figure, Rows
from application.judging_report.figures import surprises_table
from application.judging_report.terms import Explained
from application.judging_report.texts import NOTICES, TEXTS, Language
from domain.notices import sentence
from domain.wording import Percent

_LONG_TEXT = 18
"""Characters from which a cell may be broken into lines."""

Cell = tuple[str, str]
"""Its kind (number, short or, of a text that may be broken, none), and how it is written."""


@dataclass(frozen=True, slots=True)
class Section:
    """A figure or a table: what to make of it, the terms that it is the first to use, and its table as written."""

    name: str
    title: str
    sentence: str
    terms: Sequence[str]
    columns: Sequence[str]
    rows: Rows
    cells: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class ReportAccount:
    """The sentences before the figures, with the terms in them, then a section for each figure, then the surprises."""

    warnings: Sequence[str]
    notes: Sequence[str]
    reliability: str
    terms: Sequence[str]
    sections: Sequence[Section]
    surprises: Section


def account_of(contents: ReportContents, shown: Sequence[Figure], language: Language) -> ReportAccount:
    """Return what the report tells in a language."""
    texts, explained = TEXTS[language], Explained(language)
    notices = contents.quality.findings.notices
    warnings = [sentence(each, NOTICES[language]) for each in notices if each.is_warning]
    notes = [sentence(each, NOTICES[language]) for each in notices if not each.is_warning]
    ssr = contents.scores.ssr
    comma = language is Language.SWEDISH
    kind = "none" if ssr is None else "negative" if ssr < 0 else "positive"
    reliability = texts[f"reliability_{kind}"].format(ssr=_written(ssr, comma=comma)[1])

    def section(name: str, title: str, says: str, columns: Sequence[str], rows: Rows) -> Section:
        columns, rows = _filled(columns, rows)
        terms = explained.first_in(title, says, *columns)
        cells = [[_written(value, comma=comma) for value in row] for row in rows]
        return Section(name, title, says, terms, columns, rows, cells)

    opening = explained.first_in(*warnings, *notes)
    sections = [section(each.name, each.title, each.sentence, each.columns, each.rows) for each in shown]
    columns, rows = surprises_table(contents, texts)
    last = section("surprises", texts["surprises"], texts["surprises_say"], columns if rows else (), rows)
    return ReportAccount(warnings, notes, reliability, opening, sections, last)


def _filled(columns: Sequence[str], rows: Rows) -> tuple[list[str], Rows]:
    """Return the table without the columns that have no value in any row."""
    kept = [
        place
        for place in range(len(columns))
        if not rows or any(row[place] not in (None, "") for row in rows)
    ]
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _written(value: Any, *, comma: bool) -> Cell:
    if value is None:
        return "number", "-"
    if isinstance(value, Percent):
        return "number", f"{value:,}" if comma else f"{value:.}"
    if isinstance(value, float) and not value.is_integer():
        written = f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.1g}"
        return "number", written.replace(".", ",") if comma else written
    if isinstance(value, int | float):
        return "number", f"{value:g}"
    return "short" if len(str(value)) < _LONG_TEXT else "", str(value)
