"""Prometheus metrics of the roles, and structured logs. No personal data in either."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import REGISTRY

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class RoleMetrics:
    """Everything the ingester, the publisher and the projections count."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.messages = Counter(
            "ras_ingest_messages",
            "Messages taken in, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.conflicts = Counter(
            "ras_ingest_conflicts", "Micro-batches done again after a conflict.", registry=registry
        )
        self.ingest_batch_size = Histogram(
            "ras_ingest_batch_messages", "Messages in one transaction.", buckets=_SIZES, registry=registry
        )
        self.ingest_seconds = Histogram(
            "ras_ingest_transaction_seconds", "Time of one transaction.", buckets=_SECONDS, registry=registry
        )
        self.ingest_lag = Gauge(
            "ras_ingest_lag_messages", "Messages not yet taken in.", ["topic", "partition"], registry=registry
        )
        self.cached_batches = Gauge("ras_ingest_cached_batches", "Aggregates in memory.", registry=registry)
        self.cache_lookups = Counter(
            "ras_ingest_cache_lookups", "Aggregates looked up.", ["result"], registry=registry
        )
        self.dead_letters = Counter("ras_dead_letters", "Dead letters.", ["reason"], registry=registry)
        self.follower_lag = Gauge(
            "ras_follower_lag_events",
            "Notification ids behind the head of the log.",
            ["name"],
            registry=registry,
        )
        self.follower_events = Counter("ras_follower_events", "Events handled.", ["name"], registry=registry)
        self.follower_seconds = Histogram(
            "ras_follower_transaction_seconds",
            "Time of one transaction.",
            ["name"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.faults = Counter("ras_faults", "Faults waited out.", ["role"], registry=registry)


def configure_logging(level: str, form: str) -> None:
    """Send structured logs to standard error: JSON lines, or readable text on a terminal (`auto`)."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries say the same faults in their own words, many times a second while a server is away.
    for noisy in ("aiokafka", "eventsourcing", "psycopg.pool", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
