"""A judging report as one HTML file: nothing is loaded, so that it can be sent, kept and printed.

Light or dark follows the reader's system. Print is light, with tables open and long ones, but for that of the scores,
left out. Drawings are inline SVG and labelled for screen readers; the table behind each is next to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from application.judging_report.account import Section, account_of
from application.judging_report.contents import ReportContents
from application.judging_report.figure import Figure
from application.judging_report.texts import TEXTS, Language, Texts
from domain.wording import Count

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
  summary { display: none; }
}
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
    texts, scores, account = TEXTS[language], contents.scores, account_of(contents, shown, language)
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
        _list(account.warnings, "notices") if account.warnings else f"<p>{_text(texts['nothing'])}</p>",
        _list(account.notes, "notes soft"),
        f"<p>{_text(account.reliability)}</p>{_terms(account.terms)}</section>",
    ]
    for section in account.sections:
        parts += [
            f'<section id="{section.name}"><div class=drawn><h2>{_text(section.title)}</h2>',
            f"<p>{_text(section.sentence)}</p>",
            f"<figure>{drawings[section.name]}</figure>" if section.name in drawings else "",
            f"</div>{_terms(section.terms)}",
            _table(section)
            if section.name in _TABLES
            else _details(texts, section, whole=section.name == "scores"),
            "</section>",
        ]
    last = account.surprises
    parts += [
        f'<section id="{last.name}"><h2>{_text(last.title)}</h2><p>{_text(last.sentence)}</p>',
        _terms(last.terms),
        _table(last) if last.cells else f"<p>{_text(texts['none'])}</p>",
        "</section></main>",
        f"<footer><p class=soft>{_text(texts['method'].format(method=scores.method_version))}</p></footer>",
        "</body></html>\n",
    ]
    return "".join(parts)


def _terms(sentences: Sequence[str]) -> str:
    return f"<p class=terms>{_text(' '.join(sentences))}</p>" if sentences else ""


def _list(sentences: Sequence[str], kind: str) -> str:
    return (
        ""
        if not sentences
        else f'<ul class="{kind}">{"".join(f"<li>{_text(each)}</li>" for each in sentences)}</ul>'
    )


def _details(texts: Texts, section: Section, *, whole: bool) -> str:
    """The table to be opened; printed with the rest unless it is long, or if it is to be printed `whole`."""
    table = f"<summary>{_text(texts['table'])}</summary>{_table(section)}</details>"
    if whole or len(section.cells) <= _LONG_TABLE:
        return f"<details>{table}"
    left_out = texts["not_printed"].format(n=Count(len(section.cells)))
    return f'<details class="long">{table}<p class="printed soft">{_text(left_out)}</p>'


def _table(section: Section) -> str:
    body = []
    numbers: set[int] = set()
    for cells in section.cells:
        numbers.update(place for place, (kind, _) in enumerate(cells) if kind == "number")
        body.append(
            "<tr>"
            + "".join(f"<td{f' class={kind}' if kind else ''}>{_text(text)}</td>" for kind, text in cells)
            + "</tr>"
        )
    head = "".join(
        f"<th scope=col{' class=number' if place in numbers else ''}>{_text(column)}</th>"
        for place, column in enumerate(section.columns)
    )
    return (
        f"<div class=table><table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _text(text: str) -> str:
    """Text as HTML; what cannot be seen or turns the reading direction is written out."""
    shown = "".join(c if c.isprintable() or c in "\n\u00a0" else ascii(c)[1:-1] for c in text)
    return escape(re.sub(r"(?<=\d) %", "\u00a0%", shown))
