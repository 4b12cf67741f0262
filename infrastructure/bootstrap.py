"""The composition root: every role is put together here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry.trace import Tracer

from application.aggregates import AggregateCache
from application.ingest import IngestMicroBatch
from domain.batch_events import PUBLISHED_EVENTS
from infrastructure.eventstore.catalogue import event_codec
from infrastructure.eventstore.store import EventStore
from infrastructure.eventstore.streams import StreamReader
from infrastructure.followers.follower import Follower
from infrastructure.followers.log import LogListener, NotificationLog
from infrastructure.followers.projector import ProjectionSink
from infrastructure.kafka.consumer import Ingester
from infrastructure.kafka.position_copy import PositionCopy
from infrastructure.kafka.publisher import KafkaSink
from infrastructure.postgres.datastore import event_datastore, read_model_engine
from infrastructure.resilience import Backoff, CircuitBreaker
from infrastructure.settings import Settings, SettingsError
from infrastructure.status import RoleStatus
from infrastructure.telemetry import RoleMetrics
from infrastructure.tracing.messages import MessageTracer
from projections.catalogue import PROJECTIONS

_BREAKER_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and Kafka are."""

    database_url: str
    bootstrap_servers: str


def servers_from(settings: Settings, *, kafka: bool = True) -> Servers:
    """Return the servers that `settings` names, or raise SettingsError."""
    if settings.database_url is None:
        raise SettingsError("RAS_DATABASE_URL is not set. `ras up` and `ras demo` bring their own servers.")
    if kafka and settings.kafka_bootstrap_servers is None:
        raise SettingsError(
            "RAS_KAFKA_BOOTSTRAP_SERVERS is not set. `ras up` and `ras demo` bring their own servers."
        )
    return Servers(settings.database_url, settings.kafka_bootstrap_servers or "")


def event_store(database_url: str) -> EventStore:
    """Return the event store. Opens a connection: raises the library's OperationalError when it cannot."""
    return EventStore(event_datastore(database_url), event_codec())


def stream_reader(database_url: str) -> StreamReader:
    """Return a reader of single streams. Opens its connections when it is first asked."""
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
    metrics.watch(status)
    use_case = IngestMicroBatch(store, AggregateCache(settings.cache_max_essays))
    return Ingester(
        use_case, settings, servers.bootstrap_servers, metrics, status, tracer=_of_messages(tracer)
    )


def listener(servers: Servers, settings: Settings) -> LogListener:
    """Return what wakes the followers of one process."""
    return LogListener(servers.database_url, _backoff(settings))


def publisher(
    servers: Servers,
    wakes: LogListener,
    settings: Settings,
    metrics: RoleMetrics,
    status: RoleStatus,
    *,
    resume_at: int | None = None,
    tracer: Tracer | None = None,
) -> Follower:
    """Return the publisher; it makes spans where there is a `tracer`."""
    topics = [event.topic for event in PUBLISHED_EVENTS]
    log = NotificationLog(servers.database_url, event_codec(), topics)
    sink = KafkaSink(
        servers.bootstrap_servers,
        settings.transactional_id,
        log,
        PositionCopy(servers.database_url, settings.transactional_id),
        resume_at=resume_at,
        tracer=_of_messages(tracer),
    )
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
    engine = read_model_engine(servers.database_url, pool_size=len(PROJECTIONS))
    return [
        Follower(
            projection.name,
            log=NotificationLog(servers.database_url, event_codec(), projection.topics),
            listener=wakes,
            sink=ProjectionSink(projection, engine, idle_interval_s=settings.poll_interval_s),
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
    return None if tracer is None else MessageTracer(tracer)


def _backoff(settings: Settings) -> Backoff:
    return Backoff(settings.retry_initial_s, settings.retry_max_s)


def _breaker(settings: Settings) -> CircuitBreaker:
    return CircuitBreaker(failures=_BREAKER_FAILURES, reset_after_s=settings.retry_max_s)
