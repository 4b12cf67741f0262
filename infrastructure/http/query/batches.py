"""Routes of batches and essays, as upstream's clients know them."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from application.batch_status import STATUS_FILTERS, statuses_for
from application.enrichment import Assessments, batch_member, essay_member, with_member
from application.json_text import json_bytes
from application.pipeline_state import CannotAsk, Known, Orchestrator
from application.queries import BatchQueries, SeveralTeachersError
from application.responses import batches as responses
from domain.values import BatchStatus as Status
from infrastructure.http.operation import Operation
from infrastructure.http.parameters import BATCH_CURSOR, Parameter, Whole, id_of, is_id, limit
from infrastructure.http.problems import Problem
from infrastructure.http.query.enrichment import ASSESSMENT, GRAMMAR_ERRORS, INCLUDE, INCLUDE_OF_ESSAY
from infrastructure.http.query.history import AS_OF, BY, INVALID_BATCH_ID, Past, asks_for_the_past
from infrastructure.http.response_cache import KEPT_BYTES, KeptAnswer, KeptAnswers
from infrastructure.http.responses import NOT_MODIFIED, json_response
from infrastructure.http.waiting import AFTER, POSITION, PREFER, WAIT, Waiting, asks_to_wait
from projections.batch_results import batch_results
from projections.language_analyses import language_analyses

LIMIT: Final = limit(20, 100)
OFFSET: Final = Whole("offset", "Leave out this many", default=0, lowest=0, highest=2**31)
OF_STATUS: Final = Parameter(
    "status",
    "Only batches of this status: one of `overall_status`, or one of upstream's. One that RAS gives no batch finds what"
    " clients see under the same status: `content_ingestion_failed` finds failed batches. Empty: all",
    {"type": "string", "enum": [*STATUS_FILTERS, ""]},
)

BATCH_ID: Final = Parameter(
    "batch_id", "The batch in which the essay is meant", {"type": "string", "minLength": 1, "maxLength": 255}
)
SOURCE: Final = "RAS-Source"
"""`orchestrator` on an answer about a batch that is not registered here."""

STATUS: Final = Operation(
    "/internal/v1/batches/{batch_id}/status",
    "How a batch stands, or stood",
    answer=responses.BatchStatus,
    parameters=[INCLUDE, AS_OF, BY, AFTER, WAIT, PREFER],
    problems=[404, 500],
    description="A batch that is not registered yet is asked of the orchestrator, where RAS knows one: then there are no"
    f" essays, `wait` does not wait, and the header `{SOURCE}` is `orchestrator`. 503 where the orchestrator cannot be asked."
    " `include`, `wait` and `after` do not go with `as_of`, and `by` goes with it alone: 400 otherwise.",
)
BATCHES_OF: Final = Operation(
    "/internal/v1/batches/user/{user_id}",
    "A user's batches, newest first",
    answer=responses.UserBatches,
    parameters=[LIMIT, OFFSET, BATCH_CURSOR, OF_STATUS, AFTER],
)
ANALYSIS: Final = Operation(
    "/internal/v1/essays/{essay_id}/aggregated-analysis",
    "Everything known of an essay",
    answer=responses.EssayAnalysis,
    parameters=[INCLUDE_OF_ESSAY, BATCH_ID, AFTER],
    problems=[404, 409],
    description="An answer is about one batch, and has nothing of another teacher's. Without `batch_id` it is the batch"
    " registered last; 409 where the essay is in batches of more than one teacher.",
)
BATCH_OPERATIONS: Final = (STATUS, BATCHES_OF, ANALYSIS)

_FORM: Final = 2
"""Of how a status is written. Raise it with each change of that, or clients keep the old form of an unchanged batch."""


def statuses_asked(request: Request) -> tuple[Status, ...]:
    """Return the statuses of the batches asked for, none for all. Raises Problem 400 for what is no status."""
    wanted = OF_STATUS.text(request) or ""
    if wanted and wanted not in STATUS_FILTERS:
        raise Problem(400, f"status must be one of {', '.join(STATUS_FILTERS)}.")
    return statuses_for(wanted)


def batch_routes(
    queries: BatchQueries,
    assessments: Assessments,
    orchestrator: Orchestrator,
    past: Past,
    waiting: Waiting,
    *,
    kept_bytes: int = KEPT_BYTES,
) -> list[Route]:
    """Return the routes that answer from `queries`, and keep up to `kept_bytes` of what they answered.

    What `assessments` knows is put beside it for those who ask. Such an answer is as new as both its parts,
    and no position says how new that is: its ETag is a hash.
    How a batch stood at an earlier time is asked of `past`. Who wants another answer than the one they have waits by
    `waiting`, for the batch to change: what the assessment app knows does not end a wait.
    """
    kept = KeptAnswers(kept_bytes)

    async def status(request: Request) -> Response:
        batch_id = id_of(request, "batch_id", error=INVALID_BATCH_ID)
        enriched = ASSESSMENT in INCLUDE.of(request)
        if asks_for_the_past(request):
            if enriched:
                raise Problem(
                    400, "include and as_of do not go together: an assessment is always the present one."
                )
            if asks_to_wait(request):
                raise Problem(400, "wait and after do not go with as_of: the past is read from the log.")
            return await past.status_at(request, batch_id)
        waited_s = await waiting.catch_up(request, batch_results.name)
        known = await _known_status(batch_id)
        if known is None:
            return await _unregistered(request, batch_id, enriched=enriched)
        response = await _told(request, batch_id, known, enriched=enriched)
        if response.status_code == NOT_MODIFIED:
            heeded = await waiting.for_another(request, batch_id, known.edition, waited_s=waited_s)
            if heeded is not None:
                known = await _known_status(batch_id) or known
                response = await _told(request, batch_id, known, enriched=enriched)
                response.headers.update(heeded)
        return response

    async def _known_status(batch_id: str) -> KeptAnswer | None:
        known = kept.find(batch_id)
        if known is None or await queries.edition(batch_id) != known.edition:
            return await _new_status(batch_id)
        return known

    async def _told(request: Request, batch_id: str, known: KeptAnswer, *, enriched: bool) -> Response:
        position = {POSITION: str(known.edition.position)}
        if enriched:
            return json_response(request, await _enriched(request, batch_id, known.content), headers=position)
        etag = f"{_FORM}.{batch_results.version}-{known.edition}"
        return json_response(request, known.content, etag=etag, headers=position)

    async def _enriched(request: Request, batch_id: str, content: bytes) -> bytes:
        assessment = await assessments.of_batch(batch_id, correlation_id=request.scope["correlation_id"])
        return with_member(content, ASSESSMENT, batch_member(assessment))

    async def _unregistered(request: Request, batch_id: str, *, enriched: bool) -> Response:
        told = await orchestrator.status(batch_id, correlation_id=request.scope["correlation_id"])
        if isinstance(told, Known):
            body = await _enriched(request, batch_id, told.content) if enriched else told.content
            return json_response(request, body, headers={SOURCE: "orchestrator"})
        if isinstance(told, CannotAsk):
            detail = f"No batch of this id has been registered here, and whether there is one is not known. {told.reason}"
            raise Problem(503, detail, error="Internal server error", Retry_After="1")
        raise Problem(404, "No batch of this id has been registered.", error="Batch not found")

    async def _new_status(batch_id: str) -> KeptAnswer | None:
        answer = await queries.status(batch_id)
        if answer is None:
            kept.drop(batch_id)
            return None
        written = KeptAnswer(json_bytes(answer.body), answer.edition)
        kept.keep(batch_id, written)
        return written

    async def batches_of(request: Request) -> Response:
        statuses = statuses_asked(request)
        user_id = id_of(request, "user_id", error="Invalid user ID")
        await waiting.catch_up(request, batch_results.name)
        body = await queries.batches_of(
            user_id,
            limit=LIMIT.of(request),
            offset=OFFSET.of(request),
            statuses=statuses,
            after=BATCH_CURSOR.of(request),
        )
        return BATCHES_OF.answered(request, body)

    async def analysis(request: Request) -> Response:
        essay_id = id_of(request, "essay_id", error="Invalid essay ID")
        include = INCLUDE_OF_ESSAY.of(request)
        batch_id = BATCH_ID.text(request)
        if batch_id is not None and not is_id(batch_id):
            raise Problem(400, "batch_id cannot be the id of a batch.", error="Invalid batch ID")
        for read_model in (batch_results, language_analyses):
            await waiting.catch_up(request, read_model.name)
        try:
            answer = await queries.essay_analysis(
                essay_id, batch_id=batch_id, with_errors=GRAMMAR_ERRORS in include
            )
        except SeveralTeachersError as error:
            raise Problem(
                409,
                "This essay is in batches of more than one teacher. Say which batch is meant: ?batch_id=",
                error="Several batches",
            ) from error
        if answer is None:
            detail = "No batch with this essay has been registered."
            if batch_id is not None:
                detail = "No batch of this id with this essay has been registered."
            raise Problem(404, detail, error="Essay not found")
        position = {POSITION: str(answer.position)}
        if ASSESSMENT in include:
            assessment = await assessments.of_batch(
                answer.body["batch_id"], correlation_id=request.scope["correlation_id"]
            )
            member = essay_member(assessment, essay_id)
            body = with_member(json_bytes(answer.body), ASSESSMENT, member)
            return json_response(request, body, headers=position)
        return ANALYSIS.answered(request, answer.body, headers=position)

    return [
        BATCHES_OF.route(batches_of),
        STATUS.route(status),
        ANALYSIS.route(analysis),
    ]
