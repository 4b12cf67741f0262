"""Is what Kafka has the log in which the stored positions are?

Theory of operation. A position is an offset, and an offset says nothing of the log that it is in: a topic that
was deleted and recreated, or another Kafka under the same address, gives out the same offsets again. Two things
tell. The log must reach from the first offset that Kafka still has to the message after the position, or messages
are lost. And the last message up to the position must be the one that was ingested there: its mark (offset, time,
digest) is stored with the position; only markers of transactions and the like lie between the two. So anyone who seeks reads that one message again; it comes before all that follows it
in its partition, is compared and dropped, and nothing of another log is ingested. That costs one message a seek
and nothing afterwards. Where retention or compaction has taken it, or an older release stored no mark, nothing is
known, and nothing is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from application.ingest import IngestMicroBatch
from application.intake_positions import Partition, Ranges, lowest
from infrastructure.errors import OperatorError
from infrastructure.intake.incoming import incoming, raw

_log = structlog.get_logger(__name__)

MESSAGES_GONE: Final = "are gone from Kafka"
"""What is said of messages that Kafka has dropped before they were ingested."""

_ANOTHER: Final = (
    "the message at the stored position {position} is not the one that was ingested there, so this is another log: "
    "the topic was recreated, or it is another Kafka"
)


class OffsetGapError(OperatorError):
    """Kafka does not have the message after the stored position: messages are lost, or it is another log."""


class Place(NamedTuple):
    """Where a partition is: up to which offset all is ingested, where each range of slices stands, and the offset to read from.

    That is the message last seen there (`awaits` then), or the one behind it.
    """

    position: int
    ranges: Ranges
    read_from: int
    awaits: bool = False


class LogIdentity:
    """Holds the stored positions against what Kafka has. Not for two tasks at once."""

    def __init__(self, consumer: AIOKafkaConsumer, use_case: IngestMicroBatch, *, accept_gaps: bool) -> None:
        self._consumer = consumer
        self._use_case = use_case
        self._accept_gaps = accept_gaps
        self._awaited: dict[Partition, str] = {}
        self._other_logs: set[Partition] = set()
        self._first_seen: dict[Partition, int] = {}

    async def places(self, partitions: list[Partition]) -> dict[Partition, Place]:
        """Return where each partition stands in the store, and move positions over gaps that were accepted.

        Raises OffsetGapError, StalePositionError if another owner moves a position meanwhile, and the errors
        of either server when it is unavailable.
        """
        stored = await asyncio.to_thread(self._use_case.ranges, partitions)
        asked = [TopicPartition(*partition) for partition in stored]
        first = await self._consumer.beginning_offsets(asked)
        end = await self._consumer.end_offsets(asked)
        places: dict[Partition, Place] = {}
        for partition, ranges in stored.items():
            known = TopicPartition(*partition)
            if await self._is_moved(partition, ranges, first[known], end[known]):
                ranges = (await asyncio.to_thread(self._use_case.ranges, [partition]))[partition]
                places[partition] = Place(lowest(ranges), ranges, lowest(ranges) + 1)
                continue
            last = min(ranges, key=lambda each: each.offset)
            marked = -1 if last.mark is None else int(last.mark.partition("/")[0])
            if last.mark is not None and first[known] <= marked <= last.offset:
                self._awaited[partition] = last.mark
                places[partition] = Place(last.offset, ranges, marked, awaits=True)
            else:
                self._awaited.pop(partition, None)
                places[partition] = Place(last.offset, ranges, last.offset + 1)
        return places

    def is_different_log(self, fetched: Mapping[TopicPartition, list[ConsumerRecord]]) -> bool:
        """Drop from `fetched` what was only read to be recognised; return whether a message is another one.

        If so, take in nothing of `fetched` and ask for the places again: that names what was found.
        """
        found = False
        for known, records in fetched.items():
            partition = (known.topic, known.partition)
            mark = self._awaited.pop(partition, None)
            if mark is None or not mark.startswith(f"{records[0].offset}/"):
                continue  # compacted away, or it cannot be read any more
            message = incoming(raw(records.pop(0)))
            if message.mark != mark:
                self._other_logs.add(partition)
                found = True
        return found

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Expect nothing any more of partitions that others have now."""
        for partition in partitions:
            self._awaited.pop(partition, None)
            self._first_seen.pop(partition, None)
            self._other_logs.discard(partition)

    async def _is_moved(self, partition: Partition, ranges: Ranges, first: int, end: int) -> bool:
        """Whether positions had to move into the log that Kafka has; raise OffsetGapError if they are in none."""
        position, furthest = lowest(ranges), max(each.offset for each in ranges)
        another = partition in self._other_logs
        self._other_logs.discard(partition)
        if first <= position + 1 and furthest < end and not another:
            self._first_seen.setdefault(partition, first)
            return False
        if position == -1 and furthest < end and self._first_seen.setdefault(partition, first) >= first:
            # Nobody has read it yet: what retention took before was never ours.
            await asyncio.to_thread(self._use_case.skip, *partition, -1, first - 1)
            return True
        if another:
            what = _ANOTHER.format(position=position)
        elif furthest < end:
            what = f"offsets {position + 1} to {first - 1} {MESSAGES_GONE}"
        else:
            another = True
            what = f"Kafka ends at offset {end - 1}, before the stored position {furthest}"
        topic, number = partition
        if not self._accept_gaps:
            raise OffsetGapError(
                f"{topic}, partition {number}: {what}. Nothing was skipped. If this is known and right, "
                "start with RAS_ACCEPT_OFFSET_GAPS=true to go on from what Kafka has."
            )
        _log.warning("ingest.gap_accepted", topic=topic, partition=number, detail=what)
        # A topic that was recreated is read from its beginning.
        await asyncio.to_thread(self._use_case.skip, topic, number, position, first - 1, another_log=another)
        return True
