"""A judging report as one HTML file: nothing is loaded, so that it can be sent, kept and printed.

Light or dark follows the reader's system. Print is light, with tables open and long ones, but for that of the scores,
left out. Drawings are inline SVG and labelled for screen readers; the table behind each is next to it. The reader may
know nothing of the field: each term is explained where it first stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from application.judging_report.contents import ReportContents
from application.judging_report.figures import Figure, Rows, surprises_table
from application.judging_report.terms import Explained
from application.judging_report.texts import NOTICES, TEXTS, Language, Texts
from domain.notices import sentence
from domain.wording import Count, Percent

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #16181d; --paper: #ffffff; --soft: #5a6070; --line: #d9dce3; --accent: #1f5fa8;
  --warn: #b3261e; --grid: #e3e5ea; --note: #fdf3e7; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --paper: #15171c; --soft: #a5abba;
  --line: #3a3f4b; --accent: #7fb2ee; --warn: #ff9d94; --grid: #2c303a; --note: #35291b; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; margin: 0 auto;
  max-width: 56rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: break-word; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .25rem; }
p { margin: .35rem 0 .75rem; max-width: 44rem; overflow-wrap: break-word; }
.soft { color: var(--soft); }
.notices { background: var(--note); border-left: 4px solid var(--warn); list-style: none; margin: 1rem 0; padding: .75rem 1rem; }
.notices li { margin: .4rem 0; overflow-wrap: break-word; }
.notes { list-style: none; margin: .5rem 0; padding: 0; }
.terms { color: var(--soft); font-size: .9em; }
figure { margin: 1rem 0 .5rem; overflow-x: auto; }
figure svg { height: auto; max-width: 100%; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem; text-align: left; vertical-align: top; }
td { min-width: 12em; overflow-wrap: anywhere; } td.number, td.short { min-width: 0; white-space: nowrap; }
td.number, th.number { text-align: right; }
summary { color: var(--accent); cursor: pointer; }
.printed { display: none; }
@media print {
  body { font-size: 10pt; line-height: 1.4; max-width: none; padding: 0; }
  h1 { font-size: 18pt; } h2 { font-size: 13pt; margin-top: 1.4rem; } h2, h2 + p { break-after: avoid; }
  p, li { orphans: 3; widows: 3; } p { max-width: none; } .notices { border: 1pt solid var(--warn); border-left-width: 3pt; }
  .drawn, figure { break-inside: avoid; } figure { overflow: visible; text-align: center; } figure svg { max-height: 205mm; }
  .table { overflow: visible; } table { font-size: 8pt; line-height: 1.25; } th, td { padding: .15rem .35rem; }
  thead { display: table-header-group; } tr, li { break-inside: avoid; } tr:nth-child(-n+3) { break-after: avoid; }
  details.long { display: none; } .printed { display: block; }
  details::details-content { block-size: auto; content-visibility: visible; }
  @supports selector(::details-content) { summary { display: none; } }
}
"""
_TABLES: Final = frozenset(("scaled", "boundaries", "next-pairs"))
"""Without a figure: the table is what there is to see."""
_LONG_TABLE: Final = 60
_LONG_TEXT: Final = 18
"""Characters from which a cell may be broken into lines."""


def report_html(
    contents: ReportContents,
    shown: Sequence[Figure],
    drawings: Mapping[str, str],
    language: Language,
) -> str:
    """The document; `drawings` are SVG elements by the name of their figure."""
    texts, scores, explained = TEXTS[language], contents.scores, Explained(language)
    comma = language is Language.SWEDISH
    notices = contents.quality.findings.notices
    warnings = [sentence(each, NOTICES[language]) for each in notices if each.is_warning]
    notes = [sentence(each, NOTICES[language]) for each in notices if not each.is_warning]
    ssr = (
        texts["reliability_none"]
        if scores.ssr is None
        else texts["reliability"].format(ssr=_cell(scores.ssr, comma)[1])
    )
    summary = texts["summary"].format(
        decisions=Count(scores.decisions), items=Count(len(scores.items)), judges=Count(len(scores.judges))
    )
    title = _text(contents.title)
    parts = [
        "<!doctype html>",
        f'<html lang="{language.value}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(texts['report'])}: {title}</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{title}</h1><p class=soft>{_text(texts['report'])}. {_text(summary)}</p>",
        f"<p>{_text(texts['intro'])}</p></header>",
        f"<main><section><h2>{_text(texts['trust'])}</h2>",
        _list(warnings, "notices") if warnings else f"<p>{_text(texts['nothing'])}</p>",
        _list(notes, "notes soft"),
        f"<p>{_text(ssr)}</p>{_terms(explained.first_in(*warnings, *notes))}</section>",
    ]
    for figure in shown:
        columns, rows = _filled(figure.columns, figure.rows)
        terms = explained.first_in(figure.title, figure.sentence, *columns)
        parts += [
            f'<section id="{figure.name}"><div class=drawn><h2>{_text(figure.title)}</h2><p>{_text(figure.sentence)}</p>',
            f"<figure>{drawings[figure.name]}</figure>" if figure.name in drawings else "",
            f"</div>{_terms(terms)}",
            _table(columns, rows, comma)
            if figure.name in _TABLES
            else _details(texts, columns, rows, comma, whole=figure.name == "scores"),
            "</section>",
        ]
    columns, rows = _filled(*surprises_table(contents, texts))
    parts += [
        f'<section id="surprises"><h2>{_text(texts["surprises"])}</h2><p>{_text(texts["surprises_say"])}</p>',
        _terms(explained.first_in(*columns)) + _table(columns, rows, comma)
        if rows
        else f"<p>{_text(texts['none'])}</p>",
        "</section></main>",
        f"<footer><p class=soft>{_text(texts['method'].format(method=scores.method_version))}</p></footer>",
        "</body></html>\n",
    ]
    return "".join(parts)


def _filled(columns: Sequence[str], rows: Rows) -> tuple[list[str], Rows]:
    """The table without the columns that have no value in any row."""
    kept = [
        place
        for place in range(len(columns))
        if not rows or any(row[place] not in (None, "") for row in rows)
    ]
    return [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _terms(sentences: Sequence[str]) -> str:
    return f"<p class=terms>{_text(' '.join(sentences))}</p>" if sentences else ""


def _list(sentences: Sequence[str], kind: str) -> str:
    return (
        ""
        if not sentences
        else f'<ul class="{kind}">{"".join(f"<li>{_text(each)}</li>" for each in sentences)}</ul>'
    )


def _details(texts: Texts, columns: Sequence[str], rows: Rows, comma: bool, *, whole: bool) -> str:
    """The table to be opened; printed with the rest unless it is long, or if it is to be printed `whole`."""
    table = f"<summary>{_text(texts['table'])}</summary>{_table(columns, rows, comma)}</details>"
    if whole or len(rows) <= _LONG_TABLE:
        return f"<details>{table}"
    left_out = texts["not_printed"].format(n=Count(len(rows)))
    return f'<details class="long">{table}<p class="printed soft">{_text(left_out)}</p>'


def _table(columns: Sequence[str], rows: Rows, comma: bool) -> str:
    body = []
    numbers: set[int] = set()
    for row in rows:
        cells = [_cell(value, comma) for value in row]
        numbers.update(place for place, (kind, _) in enumerate(cells) if kind == "number")
        body.append(
            "<tr>"
            + "".join(f"<td{f' class={kind}' if kind else ''}>{_text(text)}</td>" for kind, text in cells)
            + "</tr>"
        )
    head = "".join(
        f"<th scope=col{' class=number' if place in numbers else ''}>{_text(column)}</th>"
        for place, column in enumerate(columns)
    )
    return (
        f"<div class=table><table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(value: Any, comma: bool) -> tuple[str, str]:
    """Its kind (number, short or, of a text that may be broken, none), and how it is written."""
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


def _text(text: str) -> str:
    """Text as HTML; what cannot be seen or turns the reading direction is written out."""
    shown = "".join(c if c.isprintable() or c in "\n\u00a0" else ascii(c)[1:-1] for c in text)
    return escape(re.sub(r"(?<=\d) %", "\u00a0%", shown))
