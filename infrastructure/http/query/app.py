"""The query API. Everything that it needs is passed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from application.enrichment import Assessments
from application.pipeline_state import Orchestrator
from application.queries import BatchQueries, DeadLetterQueries, InboxQueries, OrganisationQueries
from infrastructure.check.background_runs import CheckRuns
from infrastructure.health import HealthChecks
from infrastructure.http.application import assembled
from infrastructure.http.binding import Binding
from infrastructure.http.health import health_routes
from infrastructure.http.openapi import document
from infrastructure.http.operators.accounts import ACCOUNT_OPERATIONS, ReadOutbox, RunCheck, account_routes
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.operators.dead_letters import DEAD_LETTER_OPERATIONS, dead_letter_routes
from infrastructure.http.operators.parked import PARKED_OPERATIONS, parked_routes
from infrastructure.http.query.batches import BATCH_OPERATIONS, batch_routes
from infrastructure.http.query.history import HISTORY_OPERATIONS, Past, history_routes
from infrastructure.http.query.inbox import INBOX_OPERATIONS, MarkRead, inbox_routes
from infrastructure.http.query.organisations import ORGANISATION_OPERATIONS, organisation_routes
from infrastructure.http.service_keys import ServiceKeysFile
from infrastructure.http.waiting import Waiting


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the query API."""
    return document(
        title="Result Aggregator Service",
        description="How a batch of essays stands.",
        operations=[
            *BATCH_OPERATIONS,
            *HISTORY_OPERATIONS,
            *INBOX_OPERATIONS,
            *ORGANISATION_OPERATIONS,
            *DEAD_LETTER_OPERATIONS,
            *PARKED_OPERATIONS,
            *ACCOUNT_OPERATIONS,
        ],
    )


def create_app(
    *,
    batches: BatchQueries,
    assessments: Assessments,
    orchestrator: Orchestrator,
    past: Past,
    waiting: Waiting,
    inbox: InboxQueries,
    organisations: OrganisationQueries,
    mark_read: MarkRead,
    dead_letters: DeadLetterQueries,
    actions: OperatorActions,
    read_outbox: ReadOutbox,
    check: RunCheck,
    check_runs: CheckRuns,
    health: HealthChecks,
    api_keys: Sequence[str],
    allowed_services: Sequence[str],
    operators: Sequence[str],
    service_keys: ServiceKeysFile | None = None,
    binding: Binding | None = None,
    registry: CollectorRegistry,
    environment: str,
    on_shutdown: Callable[[], Awaitable[None]],
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the application. `on_shutdown` is awaited when the server stops; `more` are routes for people."""

    return assembled(
        [
            *batch_routes(batches, assessments, orchestrator, past, waiting),
            *history_routes(past),
            *inbox_routes(inbox, mark_read, waiting),
            *organisation_routes(organisations, waiting),
            *dead_letter_routes(dead_letters, actions, waiting),
            *parked_routes(dead_letters, actions, waiting),
            *account_routes(read_outbox, check, check_runs),
            *health_routes(health, registry, environment=environment),
        ],
        described=openapi_document(),
        api_keys=api_keys,
        allowed_services=allowed_services,
        operators=operators,
        service_keys=service_keys,
        binding=binding,
        registry=registry,
        on_shutdown=on_shutdown,
        more=more,
    )
