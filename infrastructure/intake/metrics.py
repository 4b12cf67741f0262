"""Metrics of the ingester, and its log lines about faults.

A line names where a message lay and the ids that it belongs to, which is enough to find it; never what
was in it, which may be personal. Of a flood of broken messages some lines are enough: the event store has
all of them, and `ras dead-letters list` shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

import structlog

from application.deciding import IngestResult, PutAside
from domain.dead_letters import MessageDeadLettered
from domain.slices import SliceRange
from infrastructure.intake.lag import IntakeLag
from infrastructure.role_status import RoleStatus
from infrastructure.telemetry import RoleMetrics

_log = structlog.get_logger(__name__)

_LINES: Final = 20
"""Lines for one micro-batch, at most; then one with the number of the others."""


class IntakeMeter:
    """Counts and reports for one ingester."""

    def __init__(self, metrics: RoleMetrics, status: RoleStatus) -> None:
        self.lag: Final = IntakeLag(metrics)
        self._metrics = metrics
        self._status = status
        self._part = ""

    def own(self, slices: SliceRange) -> None:
        """Report for one of several ingesters, by the number of its part of all slices; for the first as for a single one."""
        number = round(slices.first / (slices.end - slices.first))
        self._part = f"/{number}" if number else ""

    def taken_in(self, taken: IngestResult, times: Sequence[tuple[str, int, int]], seconds: float) -> None:
        """Tell of a micro-batch that was committed after `seconds`; `times` are topic, partition and time of each message."""
        metrics = self._metrics
        metrics.ingest_batch_size.observe(len(times))
        metrics.ingest_seconds.observe(seconds)
        metrics.conflicts.inc(taken.conflicts)
        self.lag.taken_in(times)
        for (topic, partition), counts in taken.counts.items():
            self._status.count(f"{topic}/{partition}{self._part}", counts.taken_in)
            for outcome in ("recorded", "repeated", "dead_lettered", "parked"):
                metrics.messages.labels(outcome).inc(getattr(counts, outcome))
        self._put_aside(taken.put_aside())
        if taken.conflicts:
            _log.debug("ingest.conflict", conflicts=taken.conflicts, messages=len(times))

    def forget(self, topic: str, partition: int) -> None:
        """Tell nothing more of a partition that others have now, or that is divided in another way."""
        self.lag.forget(topic, partition)
        self._status.handled.pop(f"{topic}/{partition}{self._part}", None)

    def _put_aside(self, found: Sequence[PutAside]) -> None:
        for event in found:
            if isinstance(event, MessageDeadLettered):
                self._metrics.dead_letters.labels(event.reason.value).inc()
        for event in islice(found, _LINES):
            cause = event.causation
            with structlog.contextvars.bound_contextvars(
                topic=cause.topic,
                partition=cause.partition,
                offset=cause.offset,
                event_id=cause.event_id,
                correlation_id=cause.correlation_id,
            ):
                if isinstance(event, MessageDeadLettered):
                    _log.warning("ingest.dead_letter", reason=event.reason.value)
                else:
                    # Its words may repeat a value of the message: the fault's kind has to do.
                    why = event.fault or "waits behind a parked message"
                    _log.error("ingest.parked", stream=event.originator_id, fault=why)
        if len(found) > _LINES:
            _log.warning("ingest.put_aside", more=len(found) - _LINES)
