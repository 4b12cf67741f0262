"""Routes of the assessment app: a job in detail and a batch in summary, as JSON or as CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.assessments import Outcome, PageRequest
from application.judging_scales import ScaleOptions, grade_order
from application.judging_scores import Wanted
from application.responses.judging import DecisionPage, Detailed, Summary
from domain.comparison_graph import JudgingDataError
from domain.next_pairs import RANDOM_SHARE
from domain.scales import ScaleError
from domain.score_equations import EPSILON
from domain.what_if import Change
from infrastructure.http.assessments.answers import Computed, JudgingAnswers
from infrastructure.http.assessments.csv_tables import Table, summary_table, table_of
from infrastructure.http.negotiation import weights
from infrastructure.http.openapi import document
from infrastructure.http.operation import JSON, Operation
from infrastructure.http.parameters import (
    CURSOR,
    Amount,
    Choice,
    Flag,
    Names,
    Parameter,
    Position,
    id_of,
    limit,
)
from infrastructure.http.problems import Problem
from infrastructure.http.responses import tagged_response
from infrastructure.spreadsheet_csv import CsvForm

PREFIX: Final = "/internal/v1/assessments"
PAGE: Final = 100
LARGEST_PAGE: Final = 1000
LARGEST_TABLE: Final = 10_000
"""Lines of one table of decisions: half a kilobyte each, where JSON has two."""

_CSV_TYPE: Final = "text/csv"
_CSV: Final = "text/csv; charset=utf-8; header=present"

_DETAILED: Final = f"{PREFIX}/{{job_id}}/detailed"
_SUMMARY: Final = f"{PREFIX}/{{batch_id}}/summary"
_AS_TABLE: Final = "The same as CSV; `Accept: text/csv` on the address without the ending does it too."

LIMIT: Final = limit(PAGE, LARGEST_PAGE)
TABLE_LIMIT: Final = limit(LARGEST_TABLE, LARGEST_TABLE)
OUTCOME: Final = Choice("outcome", "Only these", Outcome)
TABLE: Final = Choice(
    "table",
    "Which table, where CSV is sent; `scaled` goes with `scale`, `grades` or `standard`, `boundaries` with `grades`",
    Table,
    default=Table.ITEMS,
)
RAW: Final = Flag(
    "raw",
    "Where CSV is sent: cells as they are, without the apostrophe that keeps spreadsheets from running formulas",
)
BOM: Final = Flag("bom", "Where CSV is sent: begin with a byte order mark")

WITHOUT_JUDGE: Final = Names("without_judge", "What if: leave out this judge; may be repeated")
WITHOUT_ITEM: Final = Names("without_item", "What if: leave out this text; may be repeated")
FIRST: Final = Position(
    "first",
    "What if: begin with this decision of the job, the first being 1",
    refusal="first must be a whole number from 1.",
    counted=True,
)
LAST: Final = Position(
    "last",
    "What if: end with this decision",
    refusal="last must be a whole number from 1.",
    counted=True,
)
EPSILON_USED: Final = Amount(
    "epsilon",
    "What if: another adjustment of the scores",
    lowest=0.001,
    highest=0.499,
    default=EPSILON,
)
PRIOR_SD: Final = Amount(
    "prior_sd",
    "What if: a normal prior with this standard deviation (logits) instead of the adjustment",
    lowest=0.05,
    highest=100,
)
SHARE: Final = Amount(
    "random_share",
    "The share of `next_pairs` that is drawn at random; without it what the app is set to, usually 0.2",
    lowest=0,
    highest=1,
)
LOCALE: Final = Parameter(
    "locale",
    "The language by which names of judges are sorted, such as sv; without it what the app is set to, usually none: "
    "the order of code points",
)
SCALE: Final = Parameter(
    "scale",
    "Also scores on a scale: LOW-HIGH, such as 0-100 (lowest and highest text), or mean=500,spread=100",
)
GRADES: Final = Flag(
    "grades", "Also grade boundaries half way between the anchors' published grades, and grades"
)
GRADE_ORDER: Final = Parameter(
    "grade_order", "With `grades`: the grades between commas, the lowest first; without it A is the highest"
)
STANDARD: Final = Parameter("standard", "The text that just meets the standard: shows which texts do")
_SCALES: Final = [SCALE, GRADES, GRADE_ORDER, STANDARD]
_WANTED: Final = [WITHOUT_JUDGE, WITHOUT_ITEM, FIRST, LAST, EPSILON_USED, PRIOR_SD, SHARE, LOCALE]

DETAILED: Final = Operation(
    _DETAILED,
    "Everything about a judging job",
    answer=Detailed,
    parameters=[CURSOR, LIMIT, OUTCOME, TABLE, RAW, BOM, *_WANTED, *_SCALES],
    problems=[404],
    description=(
        "Unfinished jobs answer with what is known. With a cursor: decisions only. With a what-if, scores and what rests"
        " on them are those of the changed session; result, matrix, counts, costs and decisions remain the job's."
        " 400 for a judge or a text that the job does not have, where no decision is left, and for a scale or grades"
        " that cannot be made. Scales and grades need decisions."
    ),
    media_types=[JSON, _CSV_TYPE],
)
DETAILED_CSV: Final = Operation(
    f"{_DETAILED}.csv",
    "A table of a judging job",
    answer=Detailed,
    parameters=[TABLE, CURSOR, TABLE_LIMIT, OUTCOME, RAW, BOM, *_WANTED, *_SCALES],
    problems=[404],
    description=f"{_AS_TABLE} The header `Link` names the next page of decisions.",
    media_types=[_CSV_TYPE],
)
SUMMARY: Final = Operation(
    _SUMMARY,
    "The judging jobs of a batch",
    answer=Summary,
    parameters=[RAW, BOM],
    problems=[404],
    media_types=[JSON, _CSV_TYPE],
)
SUMMARY_CSV: Final = Operation(
    f"{_SUMMARY}.csv",
    "The rankings of a batch's jobs",
    answer=Summary,
    parameters=[RAW, BOM],
    problems=[404],
    description=_AS_TABLE,
    media_types=[_CSV_TYPE],
)


def assessments_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the assessment app."""
    return document(
        title="RAS assessments",
        description="Comparative judgement in detail: scores, reliability, judges and every decision.",
        operations=[DETAILED, DETAILED_CSV, SUMMARY, SUMMARY_CSV],
        also=[DecisionPage],
    )


def assessment_routes(
    answers: JudgingAnswers, *, random_share: float = RANDOM_SHARE, locale: str = ""
) -> list[Route]:
    """Return the routes that answer from `answers`; the share and the language are those of requests without one."""

    async def detailed(request: Request) -> Response:
        job_id = id_of(request, "job_id", error="Invalid job ID")
        form, asked = _csv_form(request), TABLE.of(request) or Table.ITEMS
        table = asked if _as_csv(request) else None
        wanted = PageRequest(
            after=CURSOR.of(request) or 0,
            limit=(TABLE_LIMIT if table is Table.DECISIONS else LIMIT).of(request),
            outcome=OUTCOME.of(request),
        )
        # The statistics are of the whole job: they come once, with the first page of decisions.
        only_decisions = table is Table.DECISIONS or (table is None and wanted.after > 0)
        statistic = _wanted_statistics(request, random_share, locale)
        _refuse_table_without_scale(table, statistic)
        try:
            answer = await (
                answers.decisions(job_id, wanted)
                if only_decisions
                else answers.detailed(job_id, wanted, statistic)
            )
        except (JudgingDataError, ScaleError) as error:
            raise Problem(400, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
        if answer is None:
            raise Problem(404, "No judging job of this id is known.", error="Job not found")
        paged = table in (None, Table.DECISIONS)
        reply = _Reply(answer, query=f"{table}{wanted if paged else ''}{statistic.key}", paged=paged)
        if table is None:
            return reply.as_json(request)
        return await reply.as_csv(request, partial(table_of, table), form, name=f"{job_id}-{table}")

    async def summary(request: Request) -> Response:
        batch_id = id_of(request, "batch_id", error="Invalid batch ID")
        form = _csv_form(request)
        answer = await answers.summary(batch_id)
        if answer is None:
            raise Problem(404, "No judging job of this batch is known.", error="Batch not found")
        if _as_csv(request):
            return await _Reply(answer, query="csv").as_csv(
                request, summary_table, form, name=f"{batch_id}-summary"
            )
        return _Reply(answer, query="json").as_json(request)

    return [
        DETAILED.route(detailed),
        DETAILED_CSV.route(detailed),
        SUMMARY.route(summary),
        SUMMARY_CSV.route(summary),
    ]


def _refuse_table_without_scale(table: Table | None, wanted: Wanted) -> None:
    if table is Table.SCALED and not wanted.is_scaled:
        raise Problem(400, "The table scaled goes with scale, grades or standard.")
    if table is Table.BOUNDARIES and not wanted.by_anchors:
        raise Problem(400, "The table boundaries goes with grades.")


def _wanted_statistics(request: Request, random_share: float, locale: str) -> Wanted:
    change = Change(
        WITHOUT_JUDGE.of(request),
        WITHOUT_ITEM.of(request),
        FIRST.of(request) or 1,
        LAST.of(request),
        EPSILON_USED.of(request) or EPSILON,
        PRIOR_SD.of(request),
    )
    share = SHARE.of(request)
    order = grade_order(GRADE_ORDER.text(request))
    return Wanted(
        change,
        random_share if share is None else share,
        (LOCALE.text(request) or locale)[:35],
        ScaleOptions(SCALE.text(request), order=order, standard=STANDARD.text(request)),
        GRADES.of(request),
    )


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer on its way out. `query` tells apart what one version of it can be asked for."""

    answer: Computed
    query: str
    paged: bool = False

    def as_json(self, request: Request) -> Response:
        return self._sent(request, self.answer.content, JSON, {})

    async def as_csv(
        self, request: Request, made: Callable[[bytes, CsvForm], bytes], form: CsvForm, *, name: str
    ) -> Response:
        content = await asyncio.to_thread(made, self.answer.content, form)
        file = "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "_" for each in name)
        headers = {"Content-Disposition": f'attachment; filename="{file}.csv"'}
        return self._sent(request, content, _CSV, headers, form)

    def _sent(
        self,
        request: Request,
        content: bytes,
        media_type: str,
        headers: Mapping[str, str],
        form: CsvForm | None = None,
    ) -> Response:
        query = self.query if form in (None, CsvForm()) else f"{self.query}{form}"
        digest = blake2b(query.encode(), digest_size=6).hexdigest()
        sent = {"Vary": "Accept", **headers}
        if self.paged and self.answer.next_cursor is not None:
            following = dict(request.query_params) | {"cursor": str(self.answer.next_cursor)}
            sent["Link"] = f'<?{urlencode(following)}>; rel="next"'
        return tagged_response(
            request, content, etag=f"{self.answer.version}-{digest}", media_type=media_type, headers=sent
        )


def _csv_form(request: Request) -> CsvForm:
    """Return how CSV is to be written. Raises Problem 400 for what makes no sense, also where JSON is sent."""
    return CsvForm(raw=RAW.of(request), byte_order_mark=BOM.of(request))


def _as_csv(request: Request) -> bool:
    """Whether the address ends in .csv, or `Accept` prefers CSV to JSON (RFC 9110, section 12.5.1)."""
    if request.url.path.endswith(".csv"):
        return True
    ranges = weights(request.headers.get("accept", "*/*"))
    csv = next((ranges[name] for name in ("text/csv", "text/*", "*/*") if name in ranges), 0.0)
    json = next((ranges[name] for name in (JSON, "application/*", "*/*") if name in ranges), 0.0)
    return csv > json
