"""Routes of batches and essays, as upstream's clients know them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.queries import BatchQueries
from domain.values import BatchStatus
from infrastructure.http.problems import Problem
from infrastructure.http.responses import json_response, path_id, whole_number
from projections.batch_results import batch_results

_INVALID_BATCH_ID = "Invalid batch ID"


def batch_routes(queries: BatchQueries) -> list[Route]:
    """Return the routes that answer from `queries`."""

    async def status(request: Request) -> Response:
        answer = await queries.status(path_id(request, "batch_id", error=_INVALID_BATCH_ID))
        if answer is None:
            raise Problem(404, "No batch of this id has been registered.", error="Batch not found")
        return json_response(request, answer.body, etag=f"{batch_results.version}-{answer.position}")

    async def batches_of(request: Request) -> Response:
        wanted = request.query_params.get("status") or None
        if wanted is not None and wanted not in {status.value for status in BatchStatus}:
            allowed = ", ".join(status.value for status in BatchStatus)
            raise Problem(400, f"status must be one of {allowed}.")
        body = await queries.batches_of(
            path_id(request, "user_id", error="Invalid user ID"),
            limit=whole_number(request, "limit", 20, lowest=1, highest=100),
            offset=whole_number(request, "offset", 0, lowest=0, highest=2**31),
            status=wanted,
        )
        return json_response(request, body)

    async def analysis(request: Request) -> Response:
        answer = await queries.essay_analysis(path_id(request, "essay_id", error="Invalid essay ID"))
        if answer is None:
            raise Problem(404, "No batch with this essay has been registered.", error="Essay not found")
        return json_response(request, answer.body)

    return [
        Route("/internal/v1/batches/user/{user_id}", batches_of),
        Route("/internal/v1/batches/{batch_id}/status", status),
        Route("/internal/v1/essays/{essay_id}/aggregated-analysis", analysis),
    ]
