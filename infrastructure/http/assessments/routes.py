"""Routes of the assessment app: a job in detail and a batch in summary, as JSON or as CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.assessments import Outcome, PageRequest
from infrastructure.http.assessments.answers import Computed, JudgingAnswers
from infrastructure.http.assessments.csv_tables import Table, summary_table, table_of
from infrastructure.http.problems import Problem
from infrastructure.http.responses import bool_param, cursor, id_param, int_param, tagged_response
from infrastructure.spreadsheet_csv import CsvForm

PREFIX: Final = "/internal/v1/assessments"
PAGE: Final = 100
LARGEST_PAGE: Final = 1000
LARGEST_TABLE: Final = 10_000
"""Lines of one table of decisions: half a kilobyte each, where JSON has two."""

_CSV: Final = "text/csv; charset=utf-8; header=present"
_JSON: Final = "application/json"

_Choice = TypeVar("_Choice", bound=StrEnum)


def assessment_routes(answers: JudgingAnswers) -> list[Route]:
    """Return the routes that answer from `answers`."""

    async def detailed(request: Request) -> Response:
        job_id = id_param(request, "job_id", error="Invalid job ID")
        table = (_choice(request, "table", Table) or Table.ITEMS) if _as_csv(request) else None
        largest, usual = (
            (LARGEST_PAGE, PAGE) if table is not Table.DECISIONS else (LARGEST_TABLE, LARGEST_TABLE)
        )
        wanted = PageRequest(
            after=cursor(request) or 0,
            limit=int_param(request, "limit", usual, lowest=1, highest=largest),
            outcome=_choice(request, "outcome", Outcome),
        )
        # The statistics are of the whole job: they come once, with the first page of decisions.
        only_decisions = table is Table.DECISIONS or (table is None and wanted.after > 0)
        answer = await (answers.decisions if only_decisions else answers.detailed)(job_id, wanted)
        if answer is None:
            raise Problem(404, "No judging job of this id is known.", error="Job not found")
        paged = table in (None, Table.DECISIONS)
        reply = _Reply(answer, query=f"{table}{wanted if paged else ''}", paged=paged)
        if table is None:
            return reply.as_json(request)
        return await reply.as_csv(request, partial(table_of, table), name=f"{job_id}-{table}")

    async def summary(request: Request) -> Response:
        batch_id = id_param(request, "batch_id", error="Invalid batch ID")
        answer = await answers.summary(batch_id)
        if answer is None:
            raise Problem(404, "No judging job of this batch is known.", error="Batch not found")
        if _as_csv(request):
            return await _Reply(answer, query="csv").as_csv(
                request, summary_table, name=f"{batch_id}-summary"
            )
        return _Reply(answer, query="json").as_json(request)

    return [
        Route(f"{PREFIX}/{{job_id}}/detailed", detailed),
        Route(f"{PREFIX}/{{job_id}}/detailed.csv", detailed),
        Route(f"{PREFIX}/{{batch_id}}/summary", summary),
        Route(f"{PREFIX}/{{batch_id}}/summary.csv", summary),
    ]


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer on its way out. `query` tells apart what one version of it can be asked for."""

    answer: Computed
    query: str
    paged: bool = False

    def as_json(self, request: Request) -> Response:
        return self._sent(request, self.answer.content, _JSON, {})

    async def as_csv(
        self, request: Request, made: Callable[[bytes, CsvForm], bytes], *, name: str
    ) -> Response:
        form = CsvForm(raw=bool_param(request, "raw"), byte_order_mark=bool_param(request, "bom"))
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


def _choice(request: Request, name: str, choices: type[_Choice]) -> _Choice | None:
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        return choices(given)
    except ValueError:
        allowed = ", ".join(choices)
        raise Problem(400, f"{name} must be one of {allowed}.") from None


def _as_csv(request: Request) -> bool:
    """Whether the address ends in .csv, or `Accept` prefers CSV to JSON (RFC 9110, section 12.5.1)."""
    if request.url.path.endswith(".csv"):
        return True
    ranges: dict[str, float] = {}
    for part in request.headers.get("accept", "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        ranges[name] = _quality(parameters)
    csv = next((ranges[name] for name in ("text/csv", "text/*", "*/*") if name in ranges), 0.0)
    json = next((ranges[name] for name in (_JSON, "application/*", "*/*") if name in ranges), 0.0)
    return csv > json


def _quality(parameters: Sequence[str]) -> float:
    given = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0
