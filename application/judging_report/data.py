"""A judging report as data: what the HTML file shows, for pages that show it in their own way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from application.judging_report.account import Section, account_of
from application.judging_report.contents import ReportContents
from application.judging_report.figure import Figure
from application.judging_report.texts import Language


def report_json(
    contents: ReportContents, shown: Sequence[Figure], drawings: Mapping[str, str], language: Language
) -> str:
    """Return a JSON object; `svg` is null where a figure was not drawn.

    `rows` are the values of a table. `cells` are the same as the language writes them, each with its kind: "number",
    "short", or "" for a text that may be broken into lines.
    """
    account = account_of(contents, shown, language)
    return json.dumps(
        {
            "title": contents.title,
            "ssr": contents.scores.ssr,
            "reliability": account.reliability,
            "warnings": account.warnings,
            "notes": account.notes,
            "terms": account.terms,
            "figures": [
                {"name": each.name, **_told(each), "svg": drawings.get(each.name)}
                for each in account.sections
            ],
            "surprises": _told(account.surprises),
        }
    )


def _told(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "sentence": section.sentence,
        "terms": section.terms,
        "columns": section.columns,
        "rows": section.rows,
        "cells": section.cells,
    }
