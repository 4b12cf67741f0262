"""The query API: everything it needs is handed in."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from application.enrichment import Assessments
from application.queries import BatchQueries, DeadLetterQueries, InboxQueries
from infrastructure.check.background_runs import CheckRuns
from infrastructure.health import HealthChecks
from infrastructure.http.health import health_routes
from infrastructure.http.middleware import (
    AuthenticationMiddleware,
    CorrelationMiddleware,
    MetricsMiddleware,
)
from infrastructure.http.openapi import documentation_routes
from infrastructure.http.operators.dead_letters import dead_letter_routes
from infrastructure.http.operators.operations import Check, ReadOutbox, operation_routes
from infrastructure.http.operators.parked import parked_routes
from infrastructure.http.operators.settle import OperatorActions
from infrastructure.http.problems import HANDLERS
from infrastructure.http.query.batches import batch_routes
from infrastructure.http.query.history import Past, history_routes
from infrastructure.http.query.inbox import MarkRead, inbox_routes
from infrastructure.http.query.openapi import openapi_document
from infrastructure.http.routing import described_route
from infrastructure.http.waiting import Waiting
from infrastructure.tracing.requests import TracingMiddleware
from infrastructure.tracing.setup import current_tracer

PREFIX = "/internal/"
OPERATIONS = "/internal/v1/ops/"
"""Raw messages, and what changes something, are for operators' services only."""


def create_app(
    *,
    batches: BatchQueries,
    assessments: Assessments,
    past: Past,
    waiting: Waiting,
    inbox: InboxQueries,
    mark_read: MarkRead,
    dead_letters: DeadLetterQueries,
    actions: OperatorActions,
    read_outbox: ReadOutbox,
    check: Check,
    check_runs: CheckRuns,
    health: HealthChecks,
    api_key: str,
    allowed_services: Sequence[str],
    operators: Sequence[str],
    registry: CollectorRegistry,
    environment: str,
    on_shutdown: Callable[[], Awaitable[None]],
) -> Starlette:
    """Return the application. `on_shutdown` is awaited when the server stops."""

    return assembled(
        [
            *batch_routes(batches, assessments, past, waiting),
            *history_routes(past),
            *inbox_routes(inbox, mark_read, waiting),
            *dead_letter_routes(dead_letters, actions, waiting),
            *parked_routes(dead_letters, actions, waiting),
            *operation_routes(read_outbox, check, check_runs),
            *health_routes(health, registry, environment=environment),
        ],
        described=openapi_document(),
        api_key=api_key,
        allowed_services=allowed_services,
        operators=operators,
        registry=registry,
        on_shutdown=on_shutdown,
    )


def assembled(
    routes: Sequence[Route],
    *,
    described: dict[str, Any],
    api_key: str,
    allowed_services: Sequence[str],
    operators: Sequence[str] = (),
    registry: CollectorRegistry,
    on_shutdown: Callable[[], Awaitable[None]],
) -> Starlette:
    """Return an application of `routes` with what all of ours do: traces, correlation, metrics, keys, problems.

    `described` is the OpenAPI document of the routes, which is shown, and to which queries are held.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await on_shutdown()

    tracer = current_tracer()
    tracing = [Middleware(TracingMiddleware, prefix=PREFIX, tracer=tracer)] if tracer is not None else []
    return Starlette(
        routes=[
            described_route(route, described["paths"])
            for route in (*routes, *documentation_routes(described))
        ],
        middleware=[
            *tracing,
            Middleware(CorrelationMiddleware),
            Middleware(MetricsMiddleware, registry=registry),
            Middleware(
                AuthenticationMiddleware,
                prefix=PREFIX,
                api_key=api_key,
                services=allowed_services,
                operations=OPERATIONS,
                operators=operators,
            ),
        ],
        exception_handlers=HANDLERS,
        lifespan=lifespan,
    )
