"""Prometheus metrics of the roles, and structured logs. No personal data in either.

Labels are bounded: roles, topics and their partitions, reasons and states from closed lists. No id of a
batch, an essay or a person is ever one. `deploy/` holds a dashboard and alerts on these names.
"""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import REGISTRY
from structlog.typing import EventDict, Processor

from domain.dead_letters import Reason
from infrastructure.resilience import BreakerState, CircuitBreaker
from infrastructure.role_status import Condition, RoleStatus
from infrastructure.visible import visible, visible_lines

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_DELAYS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
_OUTCOMES: Final = ("recorded", "repeated", "dead_lettered", "parked")
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class RoleMetrics:
    """Everything the ingester, the publisher and the projections count."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self.messages = Counter(
            "ras_ingest_messages",
            "Messages ingested, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        for outcome in _OUTCOMES:
            self.messages.labels(outcome)
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
            "ras_ingest_lag_messages", "Messages not yet ingested.", ["topic", "partition"], registry=registry
        )
        self.ingest_lag_seconds = Gauge(
            "ras_ingest_lag_seconds",
            "How long the oldest message not yet ingested has lain in Kafka, at most.",
            ["topic", "partition"],
            registry=registry,
        )
        self.cached_batches = Gauge("ras_ingest_cached_batches", "Aggregates in memory.", registry=registry)
        self.cache_lookups = Counter(
            "ras_ingest_cache_lookups", "Aggregates looked up.", ["result"], registry=registry
        )
        self.dead_letters = Counter(
            "ras_dead_letters", "Messages that became dead letters.", ["reason"], registry=registry
        )
        for reason in Reason:
            self.dead_letters.labels(reason.value)
        self.follower_lag = Gauge(
            "ras_follower_lag_events",
            "Events not yet handled, counted to 100,000.",
            ["name"],
            registry=registry,
        )
        self.follower_lag_seconds = Gauge(
            "ras_follower_lag_seconds",
            "How long ago the message was received that caused the oldest event not yet handled.",
            ["name"],
            registry=registry,
        )
        self.follower_batch_size = Histogram(
            "ras_follower_batch_events",
            "Events in one transaction.",
            ["name"],
            buckets=_SIZES,
            registry=registry,
        )
        self.follower_delay = Histogram(
            "ras_follower_delay_seconds",
            "From the receipt of a message to the effect of its event, for the oldest event of a transaction.",
            ["name"],
            buckets=_DELAYS,
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
        self.unsent = Gauge(
            "ras_publisher_parked_messages",
            "Messages that wait because their topic refuses one as too large.",
            registry=registry,
        )
        self.faults = Counter("ras_faults", "Faults waited out.", ["role"], registry=registry)
        self._condition = Gauge(
            "ras_role_condition",
            "Condition of a role: 1 at the one that it is in.",
            ["role", "condition"],
            registry=registry,
        )
        self._breaker = Gauge(
            "ras_follower_breaker",
            "State of a follower's circuit breaker: 1 at the one that it is in.",
            ["name", "state"],
            registry=registry,
        )

    def watch(self, status: RoleStatus) -> None:
        """Show the condition of a role, whenever somebody looks."""
        self.faults.labels(status.name)
        for condition in Condition:
            shown = self._condition.labels(status.name, condition.value)
            shown.set_function(partial(_is_in_condition, status, condition))

    def watch_breaker(self, name: str, breaker: CircuitBreaker) -> None:
        """Show the state of a follower's circuit breaker, whenever somebody looks."""
        for state in BreakerState:
            self._breaker.labels(name, state.value).set_function(partial(_is_in_state, breaker, state))


def _is_in_condition(status: RoleStatus, condition: Condition) -> float:
    return float(status.now()[0] is condition)


def _is_in_state(breaker: CircuitBreaker, state: BreakerState) -> float:
    return float(breaker.state is state)


def configure_logging(level: str, form: str) -> None:
    """Send structured logs to standard error: JSON lines, or readable text on a terminal (`auto`)."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    # JSON has escapes of its own.
    rendering: list[Processor] = (
        [structlog.processors.JSONRenderer()] if as_json else [_escape, structlog.dev.ConsoleRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries say the same faults in their own words, many times per second while a server is unavailable.
    for noisy in ("aiokafka", "eventsourcing", "psycopg.pool", "alembic"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _escape(_logger: object, _method: str, entry: EventDict) -> EventDict:
    """Escape the texts of a log entry for a terminal; only a stack trace has lines of its own."""
    return {
        name: (visible_lines if name == "exception" else visible)(value) if isinstance(value, str) else value
        for name, value in entry.items()
    }
