"""A judging report as one HTML file: nothing is loaded, so that it can be sent, kept and printed.

Light or dark follows the reader's system. Print is light, with short tables open and long ones left out. Drawings are
inline SVG and labelled for screen readers; the table behind each is next to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from application.judging_report.contents import ReportContents
from application.judging_report.figures import Figure
from application.judging_report.texts import NOTICES, TEXTS, Language
from domain.notices import sentence

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #16181d; --paper: #ffffff; --soft: #5a6070; --line: #d9dce3; --accent: #1f5fa8;
  --warn: #b3261e; --grid: #e3e5ea; --note: #fdf3e7; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #e8eaf0; --paper: #15171c; --soft: #a5abba;
  --line: #3a3f4b; --accent: #7fb2ee; --warn: #ff9d94; --grid: #2c303a; --note: #35291b; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; margin: 0 auto;
  max-width: 56rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .25rem; }
p { margin: .35rem 0 .75rem; max-width: 44rem; }
.soft { color: var(--soft); }
.notices { background: var(--note); border-left: 4px solid var(--warn); list-style: none; margin: 1rem 0; padding: .75rem 1rem; }
.notices li { margin: .4rem 0; }
.notes { list-style: none; margin: .5rem 0; padding: 0; }
figure { margin: 1rem 0 .5rem; overflow-x: auto; }
figure svg { height: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { border-bottom: 1px solid var(--line); overflow-wrap: anywhere; padding: .3rem .5rem; text-align: left; vertical-align: top; }
td.number { white-space: nowrap; } td.number, th.number { text-align: right; } th { overflow-wrap: normal; }
summary { color: var(--accent); cursor: pointer; }
@media print { body { font-size: 11pt; max-width: none; padding: 0; } section { break-inside: avoid-page; }
  details.long { display: none; } details::details-content { block-size: auto; content-visibility: visible; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""
_TABLES: Final = frozenset(("scaled", "boundaries", "next-pairs"))
"""Without a figure: the table is what there is to see."""
_LONG_TABLE: Final = 60


def report_html(
    contents: ReportContents,
    shown: Sequence[Figure],
    drawings: Mapping[str, str],
    language: Language,
) -> str:
    """The document; `drawings` are SVG elements by the name of their figure."""
    texts, scores = TEXTS[language], contents.scores
    comma = language is Language.SWEDISH
    findings = contents.quality.findings
    said = [(notice.is_warning, sentence(notice, NOTICES[language])) for notice in findings.notices]
    warnings = [text for is_warning, text in said if is_warning]
    notes = [text for is_warning, text in said if not is_warning]
    ssr = (
        texts["reliability_none"]
        if scores.ssr is None
        else texts["reliability"].format(ssr=_cell(scores.ssr, comma)[1])
    )
    summary = texts["summary"].format(
        decisions=scores.decisions, items=len(scores.items), judges=len(scores.judges)
    )
    parts = [
        "<!doctype html>",
        f'<html lang="{language.value}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(texts['report'])}: {_text(contents.title)}</title><style>{_STYLE}</style></head><body>",
        f"<header><h1>{_text(contents.title)}</h1><p class=soft>{_text(texts['report'])}. {_text(summary)}</p></header>",
        f"<main><section><h2>{_text(texts['trust'])}</h2>",
        _list(warnings, "notices") if warnings else f"<p>{_text(texts['nothing'])}</p>",
        _list(notes, "notes soft"),
        f"<p>{_text(ssr)}</p></section>",
    ]
    for figure in shown:
        parts += [
            f'<section id="{figure.name}"><h2>{_text(figure.title)}</h2><p>{_text(figure.sentence)}</p>',
            f"<figure>{drawings[figure.name]}</figure>" if figure.name in drawings else "",
            _table(figure.columns, figure.rows, comma)
            if figure.name in _TABLES
            else _details(texts["table"], figure.columns, figure.rows, comma),
            "</section>",
        ]
    rows = [
        (s.number, s.judge, s.chosen, s.not_chosen, s.probability, s.justification or "")
        for s in contents.surprises
    ]
    columns = texts.columns("number", "judge", "chosen", "not_chosen", "probability", "justification")
    parts += [
        f'<section id="surprises"><h2>{_text(texts["surprises"])}</h2><p>{_text(texts["surprises_say"])}</p>',
        _table(columns, rows, comma) if rows else f"<p>{_text(texts['none'])}</p>",
        "</section></main>",
        f"<footer><p class=soft>{_text(texts['method'].format(method=scores.method_version))}</p></footer>",
        "</body></html>\n",
    ]
    return "".join(parts)


def _list(sentences: Sequence[str], kind: str) -> str:
    return (
        ""
        if not sentences
        else f'<ul class="{kind}">{"".join(f"<li>{_text(each)}</li>" for each in sentences)}</ul>'
    )


def _details(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], comma: bool) -> str:
    long = ' class="long"' if len(rows) > _LONG_TABLE else ""
    return f"<details{long}><summary>{_text(title)}</summary>{_table(columns, rows, comma)}</details>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]], comma: bool) -> str:
    body = []
    numbers: set[int] = set()
    for row in rows:
        cells = [_cell(value, comma) for value in row]
        numbers.update(place for place, (is_number, _) in enumerate(cells) if is_number)
        body.append(
            "<tr>" + "".join(f"<td{' class=number' if n else ''}>{_text(text)}</td>" for n, text in cells)
        )
    head = "".join(
        f"<th scope=col{' class=number' if place in numbers else ''}>{_text(column)}</th>"
        for place, column in enumerate(columns)
    )
    return f"<table><thead><tr>{head}</thead><tbody>{''.join(body)}</tbody></table>"


def _cell(value: Any, comma: bool) -> tuple[bool, str]:
    """Whether it is a number, and how it is written."""
    if value is None:
        return True, "-"
    if isinstance(value, float) and not value.is_integer():
        written = f"{value:.3f}" if abs(value) >= 0.001 else f"{value:.1g}"
        return True, written.replace(".", ",") if comma else written
    if isinstance(value, int | float):
        return True, f"{value:g}"
    return False, str(value)


def _text(text: str) -> str:
    """Text as HTML; what cannot be seen or turns the reading direction is written out."""
    shown = "".join(c if c.isprintable() or c in "\n\u00a0" else ascii(c)[1:-1] for c in text)
    return escape(shown)
