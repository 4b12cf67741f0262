"""The assessment app's description."""

from __future__ import annotations

from typing import Any

from application.assessments import Outcome
from infrastructure.http.assessments.csv_tables import Table
from infrastructure.http.assessments.routes import LARGEST_PAGE, LARGEST_TABLE, PAGE, PREFIX
from infrastructure.http.assessments.schemas import ASSESSMENT_SCHEMAS
from infrastructure.http.openapi import CURSOR, JSON, document, limit, operation, query

_CSV = "text/csv"
_AS_TABLE = "The same as CSV; `Accept: text/csv` on the address without the ending does it too."


def assessments_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the assessment app."""
    outcome = query("outcome", "Only these", {"type": "string", "enum": list(Outcome)})
    table = query(
        "table",
        "Which table, where CSV is sent",
        {"type": "string", "enum": list(Table), "default": Table.ITEMS},
    )
    raw = query(
        "raw",
        "Where CSV is sent: cells as they are, without the apostrophe that keeps spreadsheets from running formulas",
        {"type": "boolean", "default": False},
    )
    bom = query(
        "bom", "Where CSV is sent: begin with a byte order mark", {"type": "boolean", "default": False}
    )
    job, batch = f"{PREFIX}/{{job_id}}/detailed", f"{PREFIX}/{{batch_id}}/summary"
    return document(
        title="RAS assessments",
        description="Comparative judgement in detail: scores, reliability, judges and every decision.",
        schemas=ASSESSMENT_SCHEMAS,
        paths={
            job: {
                "get": operation(
                    "Everything about a judging job",
                    "Detailed",
                    path=["job_id"],
                    query=[CURSOR, limit(PAGE, LARGEST_PAGE), outcome, table, raw, bom],
                    problems=[400, 404],
                    description="Unfinished jobs answer with what is known. With a cursor: decisions only.",
                    media_types=[JSON, _CSV],
                )
            },
            f"{job}.csv": {
                "get": operation(
                    "A table of a judging job",
                    "Detailed",
                    path=["job_id"],
                    query=[table, CURSOR, limit(LARGEST_TABLE, LARGEST_TABLE), outcome, raw, bom],
                    problems=[400, 404],
                    description=f"{_AS_TABLE} A further page of decisions stands in the header `Link`.",
                    media_types=[_CSV],
                )
            },
            batch: {
                "get": operation(
                    "The judging jobs of a batch",
                    "Summary",
                    path=["batch_id"],
                    query=[raw, bom],
                    problems=[400, 404],
                    media_types=[JSON, _CSV],
                )
            },
            f"{batch}.csv": {
                "get": operation(
                    "The rankings of a batch's jobs",
                    "Summary",
                    path=["batch_id"],
                    query=[raw, bom],
                    problems=[400, 404],
                    description=_AS_TABLE,
                    media_types=[_CSV],
                )
            },
        },
    )
