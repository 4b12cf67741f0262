"""The composition root: every role is put together here and nowhere else.

A role is a process of its own, and several start at once: each function imports what its role is made of,
so that an ingester does not load the projections' SQL, nor a projector the Kafka client.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.store import EventStore
from infrastructure.postgres.connections import event_datastore
from infrastructure.resilience import Backoff, CircuitBreaker
from infrastructure.role_status import RoleStatus
from infrastructure.settings import Servers, Settings
from infrastructure.telemetry import RoleMetrics

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from infrastructure.eventstore.log import LogListener
    from infrastructure.eventstore.streams import StreamReader
    from infrastructure.followers.follower import Follower
    from infrastructure.intake.ingester import Ingester
    from infrastructure.tracing.messages import MessageTracer

_BREAKER_FAILURES = 5


def event_store(database_url: str) -> EventStore:
    """Return the event store. Opens a connection: raises the library's OperationalError when it cannot."""
    return EventStore(event_datastore(database_url), event_codec())


def deciding_store(database_url: str, log_level: str, log_format: str) -> EventStore:
    """Return the event store for a process that decides, and set up its log. Raises as `event_store` does."""
    from infrastructure.telemetry import configure_logging

    configure_logging(log_level, log_format)
    return event_store(database_url)


def stream_reader(database_url: str) -> StreamReader:
    """Return a reader of single streams. Opens its connections when it is first asked."""
    from infrastructure.eventstore.streams import StreamReader

    return StreamReader(event_datastore(database_url, pre_ping=True), event_codec())


def ingester(
    servers: Servers,
    store: EventStore,
    settings: Settings,
    metrics: RoleMetrics,
    status: RoleStatus,
    *,
    tracer: Tracer | None = None,
) -> Ingester:
    """Return an ingester on `store`; it makes spans where there is a `tracer`."""
    from application.aggregates import AggregateCache
    from application.ingest import IngestMicroBatch
    from infrastructure.intake.deciding_processes import DecidingProcesses, Rules
    from infrastructure.intake.ingester import Ingester

    deciding = None
    if settings.ingest_processes > 1:
        opens = partial(deciding_store, servers.database_url, settings.log_level, settings.log_format)
        rules = Rules(
            settings.future_tolerance,
            settings.progress_notifications,
            settings.cache_max_essays,
        )
        deciding = DecidingProcesses(settings.ingest_processes - 1, opens, rules)
    metrics.watch(status)
    use_case = IngestMicroBatch(
        store,
        AggregateCache(settings.cache_max_essays),
        notes_progress=settings.progress_notifications,
    )
    return Ingester(
        use_case,
        settings,
        servers.bootstrap_servers,
        metrics,
        status,
        tracer=_of_messages(tracer),
        deciding=deciding,
    )


def listener(servers: Servers, settings: Settings) -> LogListener:
    """Return what wakes the followers of one process."""
    from infrastructure.eventstore.log import LogListener

    return LogListener(servers.database_url, _backoff(settings))


def publisher(
    servers: Servers,
    wakes: LogListener,
    settings: Settings,
    metrics: RoleMetrics,
    status: RoleStatus,
    *,
    resume_at: int | None = None,
    after_restore: bool = False,
    tracer: Tracer | None = None,
) -> Follower:
    """Return the publisher; it makes spans where there is a `tracer`."""
    from application.envelopes import OUTBOX_EVENTS
    from infrastructure.eventstore.log import NotificationLog
    from infrastructure.eventstore.publisher_position import PositionCopy
    from infrastructure.followers.follower import Follower
    from infrastructure.publishing.publisher import KafkaSink

    topics = [event.topic for event in OUTBOX_EVENTS]
    log = NotificationLog(servers.database_url, event_codec(), topics)
    sink = KafkaSink(
        servers.bootstrap_servers,
        settings.transactional_id,
        log,
        PositionCopy(servers.database_url, settings.transactional_id),
        status,
        timeout_s=settings.publish_timeout_s,
        resume_at=resume_at,
        after_restore=after_restore,
        tracer=_of_messages(tracer),
    )
    metrics.unsent.set_function(lambda: sink.parked_messages)
    return Follower(
        "publisher",
        log=log,
        listener=wakes,
        sink=sink,
        max_events=settings.publish_max_events,
        poll_interval_s=settings.poll_interval_s,
        backoff=_backoff(settings),
        breaker=_breaker(settings),
        status=status,
        metrics=metrics,
    )


def projectors(
    servers: Servers, wakes: LogListener, settings: Settings, metrics: RoleMetrics
) -> list[Follower]:
    """Return a follower for each projection."""
    from infrastructure.eventstore.log import NotificationLog
    from infrastructure.followers.follower import Follower
    from infrastructure.followers.projector import ProjectionSink
    from projections.catalogue import PROJECTIONS

    return [
        Follower(
            projection.name,
            log=NotificationLog(servers.database_url, event_codec(), projection.topics),
            listener=wakes,
            sink=ProjectionSink(projection, servers.database_url, idle_interval_s=settings.poll_interval_s),
            max_events=settings.project_max_events,
            poll_interval_s=settings.poll_interval_s,
            backoff=_backoff(settings),
            breaker=_breaker(settings),
            status=RoleStatus(projection.name),
            metrics=metrics,
        )
        for projection in PROJECTIONS
    ]


def _of_messages(tracer: Tracer | None) -> MessageTracer | None:
    if tracer is None:
        return None
    from infrastructure.tracing.messages import MessageTracer

    return MessageTracer(tracer)


def _backoff(settings: Settings) -> Backoff:
    return Backoff(settings.retry_initial_s, settings.retry_max_s)


def _breaker(settings: Settings) -> CircuitBreaker:
    return CircuitBreaker(failures=_BREAKER_FAILURES, reset_after_s=settings.retry_max_s)
