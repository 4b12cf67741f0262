"""Records in the order of their times across partitions, as far as they are available.

Theory of operation. Kafka orders the messages of one partition, and a batch's messages lie in many. While RAS keeps up,
it sees them about as they were sent. After a standstill it would not: a client fetches megabytes of one partition before
the next, and an essay's second result would be known before the phase outcome that followed its first. So records are
held here, some hundreds of each partition, and handed out by time. A partition that has run dry although more lies in
Kafka holds back what is later than its last record, because its next one may be earlier.

What has been read to its end holds nothing back, so a message that arrives alone is handed out at once. Neither does a
partition of which Kafka delivers nothing for `longest_wait_s`, until it delivers again: a broker that is unavailable
must not stop the others for good.

Records of one millisecond go in the order in which a pipeline sends them, topic by topic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heapreplace
from time import monotonic
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from application.topics import INPUT_TOPICS

_log = structlog.get_logger(__name__)

_AT_A_TIME: Final = 500
"""Records that are taken of a partition at once. Held are at most that many of each."""

_NEVER: Final = 2**63

_RANK: Final = {topic: rank for rank, topic in enumerate(INPUT_TOPICS)}

Moment = tuple[int, int]
"""When a record comes: its time, and among those of the same time the place of its topic."""


def moment_of(record: ConsumerRecord) -> Moment:
    """Return when `record` comes among those of all partitions."""
    return record.timestamp, _RANK.get(record.topic, 0)


class TimeOrder:
    """Reads from a consumer for one task. Call `forget` right after each seek, without giving way in between."""

    def __init__(self, consumer: AIOKafkaConsumer, *, longest_wait_s: float) -> None:
        self._consumer = consumer
        self._longest_wait_s = longest_wait_s
        self._held: dict[TopicPartition, deque[ConsumerRecord]] = {}
        self._last_time: dict[TopicPartition, int] = {}
        self._silent: set[TopicPartition] = set()
        self._waiting_since: float | None = None
        self._seeks = 0
        self.has_dropped = False
        """Whether something was read during a seek, from before or behind it: seek again."""

    @property
    def held(self) -> Collection[TopicPartition]:
        """The partitions of which the consumer has read further than was handed out."""
        return self._held.keys()

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop what is held of all partitions, which were just sought, or of those that others have now."""
        self._seeks += 1
        self.has_dropped = False
        self._waiting_since = None
        for partition in partitions:
            self._held.pop(partition, None)
            self._last_time.pop(partition, None)
            self._silent.discard(partition)

    async def next(self, most: int, *, timeout_ms: int) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return up to `most` records, each partition's in order; none of them comes after one that is left.

        Waits for them up to `timeout_ms`. Raises what the consumer raises.
        """
        released: dict[TopicPartition, list[ConsumerRecord]] = {}
        awaited: dict[TopicPartition, int] = {}
        left = most
        while left:
            try:
                fetched = await self._refill(0 if released else timeout_ms)
            except KafkaError:
                if not released:
                    raise
                break  # what is handed out would be lost; the client meets the fault again
            awaited = self._awaited()
            taken = self._release(released, left, awaited)
            left -= taken
            if not awaited or not (taken or fetched):
                break
        if released or not self._held:
            self._waiting_since = None
        else:
            self._give_up_on(awaited)
        return released

    async def _refill(self, timeout_ms: int) -> bool:
        """Read on where nothing is held. Returns whether there was anything."""
        seeks, found = self._seeks, False
        lacking = self._consumer.assignment() - self._held.keys()
        while lacking or not self._held:
            fetched = await self._consumer.getmany(
                *lacking, timeout_ms=0 if found else timeout_ms, max_records=_AT_A_TIME
            )
            if not fetched:
                break
            if seeks != self._seeks:
                self.has_dropped = True
                break
            found = True
            for partition, records in fetched.items():
                if records:
                    self._held.setdefault(partition, deque()).extend(records)
                    self._silent.discard(partition)
            lacking -= fetched.keys()
        return found

    def _awaited(self) -> dict[TopicPartition, int]:
        """Return the partitions that hold others back, each with the time of the last record that was read of it."""
        return {
            partition: self._last_time.get(partition, -1)
            for partition in self._consumer.assignment() - self._held.keys() - self._silent
            if self._has_more(partition)
        }

    def _has_more(self, partition: TopicPartition) -> bool:
        """Whether more lies in Kafka than was read, as far as the client knows; before it has asked, it may."""
        # The public way to the position waits for one where there is none, during a rebalance for a minute.
        assignment = self._consumer._subscription.subscription.assignment  # noqa: SLF001
        state = assignment.state_value(partition) if assignment is not None else None
        if state is None or not state.has_valid_position:
            return False
        end = state.highwater if state.lso is None or state.lso < 0 else state.lso
        return end is None or bool(state.position < end)

    def _release(
        self,
        released: dict[TopicPartition, list[ConsumerRecord]],
        most: int,
        awaited: dict[TopicPartition, int],
    ) -> int:
        """Hand out up to `most` records that nothing awaited can come before; return how many."""
        until = min(awaited.values(), default=_NEVER)
        heads = [(*moment_of(records[0]), partition) for partition, records in self._held.items()]
        heapify(heads)
        taken = 0
        while heads and taken < most and heads[0][0] < until:
            time, _, partition = heads[0]
            records = self._held[partition]
            released.setdefault(partition, []).append(records.popleft())
            taken += 1
            if records:
                heapreplace(heads, (*moment_of(records[0]), partition))
                continue
            heappop(heads)
            del self._held[partition]
            self._last_time[partition] = max(time, self._last_time.get(partition, -1))
            if self._has_more(partition):
                awaited[partition] = self._last_time[partition]
                until = min(until, self._last_time[partition])
        return taken

    def _give_up_on(self, awaited: Collection[TopicPartition]) -> None:
        """Note that nothing can be handed out; after the longest wait go on without what is awaited."""
        now = monotonic()
        self._waiting_since = self._waiting_since or now
        if now - self._waiting_since < self._longest_wait_s:
            return
        self._waiting_since = None
        self._silent.update(awaited)
        names = sorted(f"{partition.topic}/{partition.partition}" for partition in awaited)
        _log.warning("ingest.out_of_order", waited_s=self._longest_wait_s, partitions=names)
