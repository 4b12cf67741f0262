"""Which records of a partition are for this ingester: those of its slices, behind the positions of these.

Each ingester of a group reads all partitions and ingests the messages of its own slices. A message belongs to the
slice of the batch that it names, else of the job or essay; one that names none, or cannot be read, is in the slice of
the empty name. So each message is in one slice. All ingesters of a group must find the same one
(`slice_assignor.py`). A wrong checksum is therefore not believed at once. If the bytes changed on their way to
one ingester alone, the others leave its messages out, and it would leave out what it cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from application.intake_positions import Partition, Ranges
from domain.slices import ALL_SLICES, SliceRange, slice_of
from infrastructure.intake.incoming import incoming, raw
from infrastructure.intake.shares import owner_of
from infrastructure.kafka.unreadable_batches import WRONG_CHECKSUM, UnreadableRecord

_slice_of = lru_cache(4096)(slice_of)
"""The messages of a batch follow each other, and a hash costs more than to remember it."""


class ReadAgainError(Exception):
    """What was read may have changed on its way: read again from the stored positions."""


class OwnMessages:
    """Leaves out what others ingest, or what is ingested, and remembers the last record left out of each partition."""

    def __init__(self) -> None:
        self._slices = ALL_SLICES
        self._ranges: dict[Partition, Ranges] = {}
        self._awaited: dict[Partition, int] = {}
        self._left_out: dict[Partition, ConsumerRecord] = {}
        self._doubted: dict[Partition, int] = {}

    def own(self, slices: SliceRange) -> None:
        """Hand on messages of `slices` alone from here on."""
        self._slices = slices
        self.seek({})

    def seek(
        self, ranges: Mapping[Partition, Ranges], awaited: Mapping[Partition, int] | None = None
    ) -> None:
        """Note where the slices stand, and the offsets of messages to hand on because they are to be recognised."""
        self._ranges = dict(ranges)
        self._awaited = dict(awaited or {})
        self._left_out.clear()

    def among(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> list[ConsumerRecord]:
        """Return those of `records` that are to be ingested, and the one that is to be recognised.

        Raises ReadAgainError for a batch with a wrong checksum, the first time.
        """
        place = (partition.topic, partition.partition)
        self._doubt(place, records)
        ranges = self._ranges.get(place, ())
        awaited = self._awaited.pop(place, None)
        if self._slices == ALL_SLICES and len(ranges) <= 1:
            return list(records)
        first, end = self._slices.first, self._slices.end
        own = [
            record
            for record in records
            if first <= _slice_of(owner_of(record.value)) < end or record.offset == awaited
        ]
        if len(ranges) > 1:
            own = [record for record in own if record.offset == awaited or _is_next(ranges, record)]
        if not own or own[-1] is not records[-1]:
            self._left_out[place] = records[-1]
        if len(ranges) > 1 and records[-1].offset >= max(each.offset for each in ranges):
            self._ranges[place] = ()  # from here on all of them are at the same place
        return own

    def _doubt(self, place: Partition, records: Sequence[ConsumerRecord]) -> None:
        for record in records:
            if (
                isinstance(record, UnreadableRecord)
                and record.fault.startswith(WRONG_CHECKSUM)
                and record.offset > self._doubted.get(place, -1)
            ):
                self._doubted[place] = record.offset
                raise ReadAgainError

    def mark_up_to(self, partition: Partition, offset: int) -> str | None:
        """Return the mark of the last record that was left out, if it lies at `offset` or before it."""
        record = self._left_out.get(partition)
        return incoming(raw(record)).mark if record is not None and record.offset <= offset else None


def _is_next(ranges: Ranges, record: ConsumerRecord) -> bool:
    number = _slice_of(owner_of(record.value))
    return any(each.slices.holds(number) and record.offset > each.offset for each in ranges)
