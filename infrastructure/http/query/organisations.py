"""Routes of an organisation: its batches, and how many there are of which kind."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import OrganisationQueries
from application.responses.batches import UserBatches
from application.responses.organisations import OrganisationSummary
from infrastructure.http.operation import Operation
from infrastructure.http.parameters import BATCH_CURSOR, id_of
from infrastructure.http.query.batches import LIMIT, OF_STATUS, OFFSET, statuses_asked
from infrastructure.http.waiting import AFTER, Waiting
from projections.batch_results import batch_results

_BASE: Final = "/internal/v1/organisations/{org_id}"
_INVALID: Final = "Invalid organisation ID"

BATCHES: Final = Operation(
    f"{_BASE}/batches",
    "An organisation's batches, newest first",
    answer=UserBatches,
    parameters=[LIMIT, OFFSET, BATCH_CURSOR, OF_STATUS, AFTER],
    description="The organisation is that of a batch's registration. One that nobody has named has no batches.",
)
SUMMARY: Final = Operation(
    f"{_BASE}/summary",
    "How many batches an organisation has, by status, course and month",
    answer=OrganisationSummary,
    parameters=[AFTER],
    description="A batch counts in the month of its registration, in UTC.",
)
ORGANISATION_OPERATIONS: Final = (BATCHES, SUMMARY)


def organisation_routes(queries: OrganisationQueries, waiting: Waiting) -> list[Route]:
    """Return the routes that answer from `queries`, when they are as far as asked."""

    async def batches(request: Request) -> Response:
        statuses = statuses_asked(request)
        org_id = id_of(request, "org_id", error=_INVALID)
        await waiting.catch_up(request, batch_results.name)
        body = await queries.batches_of_organisation(
            org_id,
            limit=LIMIT.of(request),
            offset=OFFSET.of(request),
            statuses=statuses,
            after=BATCH_CURSOR.of(request),
        )
        return BATCHES.answered(request, body)

    async def summary(request: Request) -> Response:
        org_id = id_of(request, "org_id", error=_INVALID)
        await waiting.catch_up(request, batch_results.name)
        return SUMMARY.answered(request, await queries.organisation_summary(org_id))

    return [BATCHES.route(batches), SUMMARY.route(summary)]
