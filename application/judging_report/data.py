"""A judging report as data: what the HTML file shows, for pages that show it in their own way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from application.judging_report.contents import ReportContents
from application.judging_report.figures import Figure, surprises_table
from application.judging_report.texts import NOTICES, TEXTS, Language
from domain.notices import sentence


def report_json(
    contents: ReportContents, shown: Sequence[Figure], drawings: Mapping[str, str], language: Language
) -> str:
    """Return a JSON object; `svg` is null where a figure was not drawn."""
    texts = TEXTS[language]
    notices = contents.quality.findings.notices
    columns, rows = surprises_table(contents, texts)
    return json.dumps(
        {
            "title": contents.title,
            "ssr": contents.scores.ssr,
            "warnings": [sentence(each, NOTICES[language]) for each in notices if each.is_warning],
            "notes": [sentence(each, NOTICES[language]) for each in notices if not each.is_warning],
            "figures": [
                {
                    "name": each.name,
                    "title": each.title,
                    "sentence": each.sentence,
                    "svg": drawings.get(each.name),
                    "columns": list(each.columns),
                    "rows": [list(row) for row in each.rows],
                }
                for each in shown
            ],
            "surprises": {
                "title": texts["surprises"],
                "sentence": texts["surprises_say"],
                "columns": columns,
                "rows": rows,
            },
        }
    )
