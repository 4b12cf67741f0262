"""Puts the query API together with its database."""

from __future__ import annotations

import asyncio
import threading
from uuid import UUID

import psycopg
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import REGISTRY
from pydantic import SecretStr
from starlette.applications import Starlette

from application.drain import DrainParked
from application.enrichment import NoAssessments
from application.explanation import ExplainReadiness
from application.history import BatchHistory
from application.inbox import MarkNotificationRead
from application.pipeline_state import NoOrchestrator
from application.responses.check import Check
from application.settle import SettleDeadLetters
from domain.narrative_swedish import swedish_sentence_for
from infrastructure.assessments_client.setup import assessments_client
from infrastructure.check.background_runs import CheckRuns
from infrastructure.check.check import CheckUnderWayError, check
from infrastructure.eventstore.store import EventStore
from infrastructure.health import CheckResult, Health, HealthChecks
from infrastructure.http.binding import Binding
from infrastructure.http.identity import user_tokens
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.problems import Problem
from infrastructure.http.query.app import create_app
from infrastructure.http.query.history import Past
from infrastructure.http.service_keys import service_keys_file
from infrastructure.http.waiting import Waiting
from infrastructure.kafka import faults as kafka_faults
from infrastructure.operations.outbox import Outbox, read_outbox
from infrastructure.orchestrator_client.setup import orchestrator_client
from infrastructure.postgres import faults
from infrastructure.postgres.sessions import READ_LIMITS
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.ownership import Ownership
from infrastructure.queries.read_pool import ReadConnections
from infrastructure.queries.watch import ReadModelWatch
from infrastructure.roles.accepted_keys import accepted_keys
from infrastructure.roles.bootstrap import event_store, listener, stream_reader
from infrastructure.roles.people import Work, people_routes
from infrastructure.settings import Servers, Settings

_POOL_SIZE = 20


def query_app(
    servers: Servers,
    settings: Settings,
    api_key: SecretStr | None,
    *,
    registry: CollectorRegistry = REGISTRY,
    stopping: asyncio.Event | None = None,
) -> Starlette:
    """Return the application on the database that `servers` names; it starts although that is unavailable.

    When `stopping` is set, requests that wait for something are answered at once.
    """
    reads = ReadConnections(
        servers.database_url, size=_POOL_SIZE, limits=READ_LIMITS, pooled_url=servers.pooled_url
    )
    queries = PostgresQueries(reads.rows)
    health = HealthChecks()

    async def database() -> CheckResult:
        try:
            unfit = await queries.unfit_read_models()
        except psycopg.Error as error:
            return CheckResult(Health.FAILED, faults.public_sentence(error))
        # The API answers from the rows that are there for as long as they have what it asks for.
        return CheckResult(Health.DEGRADED if unfit else Health.OK, " ".join(unfit.values()))

    store = _StoreWhenNeeded(servers.write_url or servers.database_url)
    streams = stream_reader(servers.database_url)

    def mark_read(notification_id: UUID, teacher_id: str, *, correlation_id: str | None) -> None:
        MarkNotificationRead(store.get())(notification_id, teacher_id, correlation_id=correlation_id)

    tolerance = settings.future_tolerance

    def settle() -> SettleDeadLetters:
        return SettleDeadLetters(
            store.get(), future_tolerance=tolerance, notes_progress=settings.progress_notifications
        )

    def drain() -> DrainParked:
        return DrainParked(
            store.get(), future_tolerance=tolerance, notes_progress=settings.progress_notifications
        )

    assessments = assessments_client(settings, api_key, registry)
    orchestrator = orchestrator_client(settings, api_key, registry)
    check_runs = CheckRuns(servers, settings)
    stopping = stopping or asyncio.Event()
    watch = ReadModelWatch(reads.rows, listener(servers, settings), stopping)

    Gauge(
        "ras_http_waiting_requests",
        "Requests that wait for another answer, or for a read model.",
        registry=registry,
    ).set_function(lambda: watch.waiting)

    async def close() -> None:
        await check_runs.close()
        await watch.close()
        await hub.close()
        if assessments is not None:
            await assessments.close()
        if orchestrator is not None:
            await orchestrator.close()
        await reads.close()
        await asyncio.to_thread(store.close)
        await asyncio.to_thread(streams.close)

    async def outbox(limit: int) -> Outbox:
        return await read_outbox(servers, settings.transactional_id, limit=limit)

    async def accounts() -> Check:
        try:
            report = await check(
                servers, settings.transactional_id, incremental=True, progress=lambda *_progress: None
            )
        except CheckUnderWayError as error:
            raise Problem(409, str(error)) from error
        except (KafkaError, TimeoutError) as error:
            raise Problem(
                503, f"{kafka_faults.sentence(error)} Check again later.", Retry_After="5"
            ) from error
        return report.as_json()

    actions = OperatorActions(settle, drain)
    waiting = Waiting(watch, queries.head, longest_s=settings.longest_wait_s)
    history = BatchHistory(streams.read)
    explain = ExplainReadiness(streams.read)
    work = Work(
        assessments or NoAssessments(),
        BatchHistory(streams.read, swedish_sentence_for),
        history,
        explain,
        mark_read,
        actions,
        waiting,
        outbox,
        check_runs,
    )
    hub, people = people_routes(servers, settings, queries, reads.rows, work, registry, stopping)

    service_keys = service_keys_file(settings.service_keys_file)
    if service_keys is not None:
        health.register("service_keys", service_keys.health)
    health.register("database", database)
    if assessments is not None:
        health.register("assessments", assessments.health)
    if orchestrator is not None:
        health.register("orchestrator", orchestrator.health)
    return create_app(
        batches=queries,
        assessments=assessments or NoAssessments(),
        orchestrator=orchestrator or NoOrchestrator(),
        past=Past(history, explain, queries),
        waiting=waiting,
        inbox=queries,
        organisations=queries,
        mark_read=mark_read,
        dead_letters=queries,
        actions=actions,
        read_outbox=outbox,
        check=accounts,
        check_runs=check_runs,
        health=health,
        api_keys=accepted_keys(settings, api_key),
        allowed_services=settings.allowed_services,
        operators=settings.operator_services,
        service_keys=service_keys,
        binding=Binding(user_tokens(settings), Ownership(reads.rows)),
        registry=registry,
        environment=settings.environment,
        on_shutdown=close,
        more=people,
    )


class _StoreWhenNeeded:
    """The event store, opened by the first who writes: the API starts although the database is unavailable."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._lock = threading.Lock()  # two first writers would open two, and close one
        self._store: EventStore | None = None

    def get(self) -> EventStore:
        """Return the one store. Blocks, and raises the library's OperationalError when it cannot open it."""
        with self._lock:
            if self._store is None:
                self._store = event_store(self._database_url)
            return self._store

    def close(self) -> None:
        """Close it if it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
