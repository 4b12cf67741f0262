"""Hands out records in the order of their times across partitions, while RAS is behind.

Theory of operation. Kafka orders the messages of one partition, and a batch's messages lie in many. While RAS keeps
up it sees them about as they were sent. After a standstill it would not: a client fetches one partition far ahead of
the next, and an essay's second result would be known before the phase outcome that followed its first. So records are
read ahead of their use, a share of memory for each partition, and are merged by time. A partition of which Kafka has
more than was read holds back what is later than its newest record here: its next one may be earlier. It can do so
only when nothing of it is here, because its own records come first; then it is waited for.

Order is worth some waiting, intake is worth more. Each record that is handed out buys a little time to wait,
up to half a second; where that is used up, records go without what is awaited. So a partition that delivers nothing,
or slowly, costs a bounded share of the time. What has been read to its end holds nothing back: a message that arrives
alone is handed out at once.

A time that cannot be true (none, microseconds, tomorrow's) orders nothing: its record goes at once. Records of one
millisecond go in the order in which a pipeline sends them, topic by topic.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from heapq import merge
from itertools import islice
from math import ceil
from operator import itemgetter
from time import monotonic
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from application.topics import INPUT_TOPICS
from infrastructure.kafka.record_times import can_be_true

_log = structlog.get_logger(__name__)

_LONGEST_WAIT_S: Final = 0.5
_WAIT_PER_RECORD_S: Final = 0.0001
"""About what ingesting one takes: waiting can double the time of a backlog at most."""

_READ_AT_ONCE: Final = 500
"""Records that are unpacked before other tasks run."""

_RECORD_BYTES: Final = 500
"""What a record takes in memory beside its value."""

_RANK: Final = {topic: rank for rank, topic in enumerate(INPUT_TOPICS)}


Moment = tuple[int, int]
"""When a record goes: its time (ms since 1970), and among those of the same time the place of its topic."""

_AT_ONCE: Final = (0, 0)
_EARLIEST: Final = (-1, 0)
_LATEST: Final = (2**63, 0)

Records = dict[TopicPartition, list[ConsumerRecord]]


def moment_of(record: ConsumerRecord) -> Moment:
    """Return when `record` goes among those of all partitions."""
    return (record.timestamp, _RANK.get(record.topic, 0)) if can_be_true(record.timestamp) else _AT_ONCE


def _size(record: ConsumerRecord) -> int:
    return _RECORD_BYTES + len(record.value or b"")


class HeldRecords:
    """What was read and not yet handed out, each partition's in order."""

    def __init__(self) -> None:
        self._held: dict[TopicPartition, deque[tuple[Moment, ConsumerRecord]]] = {}
        self._bytes: defaultdict[TopicPartition, int] = defaultdict(int)
        self._newest: dict[TopicPartition, Moment] = {}

    @property
    def partitions(self) -> Collection[TopicPartition]:
        """Those of which something is held."""
        return self._held.keys()

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._bytes.clear()
        self._newest.clear()

    def bytes_of(self, partition: TopicPartition) -> int:
        """Return about how much memory the partition's records take."""
        return self._bytes[partition]

    def add(
        self, partition: TopicPartition, records: Sequence[ConsumerRecord], own: Sequence[ConsumerRecord]
    ) -> None:
        """Hold those that are `own` of the partition's next records, which are at least one."""
        known = self._newest.get(partition, _EARLIEST) if partition in self._held else _EARLIEST
        moments = [moment_of(record) for record in own]
        newest = max((*moments, known, moment_of(records[-1])))
        self._newest[partition] = _LATEST if newest <= _AT_ONCE else newest
        if own:
            self._held.setdefault(partition, deque()).extend(zip(moments, own, strict=True))
            self._bytes[partition] += sum(map(_size, own))

    def release(self, most: int, *, behind: Collection[TopicPartition]) -> Records:
        """Hand out up to `most` records, each partition's in order; none that a later one of `behind` could precede.

        Hands out something unless nothing is held, or nothing of one of `behind`.
        """
        until = min((self._newest.get(partition, _EARLIEST) for partition in behind), default=_LATEST)
        released: Records = {}
        for moment, record in islice(merge(*self._held.values(), key=itemgetter(0)), most):
            if moment > until:
                break
            released.setdefault(TopicPartition(record.topic, record.partition), []).append(record)
        for partition, records in released.items():
            held = self._held[partition]
            for _ in records:
                held.popleft()
            self._bytes[partition] -= sum(map(_size, records))
            if not held:
                del self._held[partition]
        return released


class TimeOrder:
    """Reads from a consumer for one task. `read_ahead_bytes` bounds about what is held of all partitions together.

    `among` says which of a partition's records are handed out at all.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        *,
        read_ahead_bytes: int,
        among: Callable[[TopicPartition, list[ConsumerRecord]], list[ConsumerRecord]] = lambda _, records: (
            records
        ),
    ) -> None:
        self._consumer = consumer
        self._among = among
        self._read_ahead_bytes = read_ahead_bytes
        self._held = HeldRecords()
        self._patience_s = _LONGEST_WAIT_S
        self._seeks = 0
        self._fault: KafkaError | None = None

    @property
    def held(self) -> Collection[TopicPartition]:
        """The partitions of which the consumer has read further than was handed out."""
        return self._held.partitions

    def forget(self) -> None:
        """Drop what is held. Call it right after each seek, and when partitions go, without giving way in between."""
        self._seeks += 1
        self._fault = None
        self._held.clear()

    async def next(self, most: int, *, timeout_ms: int) -> Records:
        """Return up to `most` records, of each partition that is named at least one; wait up to `timeout_ms` for any.

        What is read during a seek is returned at once and not held: the caller, who seeks again, drops it. Raises what
        the consumer raises, after what was read before the fault has been handed out in part: nothing is lost.
        """
        seeks, waits = self._seeks, False
        timeout = 0 if self._held.partitions else timeout_ms
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        while True:
            begun = monotonic()
            try:
                fetched = await self._fetched(timeout)
            except KafkaError as error:
                if seeks != self._seeks or not self._held.partitions:
                    raise
                # It may come again at each call, so the others go first.
                self._fault, fetched = error, {}
            if seeks != self._seeks:
                return fetched
            more = False
            for partition, records in fetched.items():
                own = self._among(partition, records)
                self._held.add(partition, records, own)
                more = more or bool(own)
            if waits:
                self._patience_s = max(0.0, self._patience_s - (monotonic() - begun))
            behind = self._behind()
            if more and behind:
                timeout = 0
                await asyncio.sleep(0)  # the client may have more at hand; unpacking all of it takes a while
                continue
            if behind and (self._fault is not None or not self._patience_s):
                _log.debug("ingest.out_of_order", behind=len(behind))
                behind = []
            released = self._held.release(most, behind=behind)
            if released or not self._held.partitions:
                self._patience_s += _WAIT_PER_RECORD_S * sum(map(len, released.values()))
                self._patience_s = min(self._patience_s, _LONGEST_WAIT_S)
                return released
            waits, timeout = True, min(timeout_ms, ceil(1000 * self._patience_s))

    async def _fetched(self, timeout_ms: int) -> Records:
        room: list[TopicPartition] = []
        if self._held.partitions:
            assigned = self._consumer.assignment()
            share = self._read_ahead_bytes / max(1, len(assigned))
            room = [partition for partition in assigned if self._held.bytes_of(partition) < share]
            if not room:
                return {}
        fetched = await self._consumer.getmany(*room, timeout_ms=timeout_ms, max_records=_READ_AT_ONCE)
        return {partition: records for partition, records in fetched.items() if records}

    def _behind(self) -> list[TopicPartition]:
        """Return the partitions of which Kafka has more than was read, as far as the client knows.

        One that it has not asked for yet may have.
        """
        # The public way to a position waits for one where there is none, during a rebalance for a minute.
        subscription = self._consumer._subscription.subscription  # noqa: SLF001
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None:
            return []
        found = []
        for partition in assignment.tps:
            state = assignment.state_value(partition)
            if state is None or not state.has_valid_position:
                continue
            end = state.highwater if state.lso is None or state.lso < 0 else state.lso
            if end is None or state.position < end:
                found.append(partition)
        return found
