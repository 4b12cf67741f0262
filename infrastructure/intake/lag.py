"""How far the ingester is behind, in messages and in seconds.

Kafka tells how many messages lie ahead of a position, not how old the first of them is. Two bounds are
known without asking for it: it is no older than the last message ingested, and it came after the moment
at which the end was last reached. The lesser of the two is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from infrastructure.kafka.record_times import record_time
from infrastructure.telemetry import RoleMetrics

Partition = tuple[str, int]


class IntakeLag:
    """The lag of each topic-partition at hand. `clock` gives seconds since 1970."""

    def __init__(self, metrics: RoleMetrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._last_message_at: dict[Partition, float] = {}
        self._at_the_end: dict[Partition, float] = {}

    def taken_in(self, times: Iterable[tuple[str, int, int]]) -> None:
        """Note topic, partition and time (ms since 1970) of messages that were ingested, each partition's in order."""
        for topic, partition, timestamp_ms in times:
            if record_time(timestamp_ms) is None:
                continue  # a clock that is wrong tells nothing
            self._last_message_at[topic, partition] = timestamp_ms / 1000

    def show(self, topic: str, partition: int, messages: int) -> int:
        """Show that `messages` lie ahead, and return their number."""
        now = self._clock()
        seconds = 0.0
        if messages:
            known = (self._last_message_at.get((topic, partition)), self._at_the_end.get((topic, partition)))
            seconds = max(0.0, now - max((at for at in known if at is not None), default=now))
        else:
            self._at_the_end[topic, partition] = now
        self._metrics.ingest_lag.labels(topic, partition).set(messages)
        self._metrics.ingest_lag_seconds.labels(topic, partition).set(seconds)
        return messages

    def forget(self, topic: str, partition: int) -> None:
        """Show nothing of a partition that another ingester has now: what is shown would never change."""
        self._last_message_at.pop((topic, partition), None)
        self._at_the_end.pop((topic, partition), None)
        for gauge in (self._metrics.ingest_lag, self._metrics.ingest_lag_seconds):
            try:
                gauge.remove(topic, partition)
            except KeyError:
                continue  # nothing was shown yet
