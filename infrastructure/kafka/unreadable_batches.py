"""Batches that cannot be read do not stop a consumer: what can be read of them is read, the rest is handed over raw.

aiokafka ends every read of a partition at the first batch with a wrong checksum, an unknown codec, bytes that do
not decompress, or a header name that is not UTF-8, and meets the same batch again each time. Here the part of aiokafka
that unpacks a fetched partition is replaced by one that yields an `UnreadableRecord` for it and goes on behind it.
Batches without a fault take aiokafka's own path; only after a fault are bytes read a second time, by
`record_salvage.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from infrastructure.kafka.record_salvage import Salvaged, fault_of, salvaged

_PREFIX: Final = struct.Struct(">qi")
"""Offset of the first record, and the number of bytes that follow."""

_LAST_OFFSET_DELTA_AT: Final = 23
_TIMES_AT: Final = 35
WRONG_CHECKSUM: Final = "The checksum of the batch is wrong."
"""How the fault begins that a second read may not find: bytes can change on their way."""

_MOST_RECORDS: Final = 10_000_000
"""A batch that claims more is not believed."""


@dataclass
class UnreadableRecord(ConsumerRecord):  # type: ignore[misc]  # aiokafka ships no types
    """Bytes at offsets from which no proper record can be made; `offset` is the last of them.

    `fault` is a sentence for an operator. `value` holds the record's value where it is known, else the raw
    bytes of the record or of the whole batch.
    """

    fault: str = ""


def install() -> None:
    """Make every consumer of this process read in this way."""
    fetcher.MemoryRecords = _Fetched
    fetcher.PartitionRecords = _TolerantRecords


class _Fetched:
    """The bytes of one partition's fetch, and aiokafka's view of them."""

    __slots__ = ("batches", "buffer")

    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self.batches = MemoryRecords(buffer)

    def has_next(self) -> bool:
        """Tell whether there is a batch. The broker sends at least one whole batch, so a part of one is damaged."""
        return bool(self.buffer)

    def size_in_bytes(self) -> int:
        """Return the number of bytes."""
        return len(self.buffer)

    def batch_from(self, offset: int) -> tuple[bytes, int, int] | None:
        """Return the bytes, the first and the last offset of the batch that holds `offset`, or of the next one."""
        at = 0
        while at + _PREFIX.size <= len(self.buffer):
            first, length = _PREFIX.unpack_from(self.buffer, at)
            end = at + _PREFIX.size + max(0, length)
            last = self._last_offset(at, first, end)
            if last >= offset:
                return bytes(self.buffer[at:end]), first, last
            at = end
        return None

    def _last_offset(self, at: int, first: int, end: int) -> int:
        """Return the last offset of the batch at `at`; the next batch's first bounds it, should it be damaged."""
        if at + _LAST_OFFSET_DELTA_AT + 4 > len(self.buffer):
            return first
        [delta] = struct.unpack_from(">i", self.buffer, at + _LAST_OFFSET_DELTA_AT)
        last = first + delta if 0 <= delta < _MOST_RECORDS else first
        if end + _PREFIX.size <= len(self.buffer):
            following = _PREFIX.unpack_from(self.buffer, end)[0]
            last = min(last, following - 1) if following > first else last
        return max(first, last)


class _TolerantRecords(PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """As aiokafka's, but no fault in the bytes is raised."""

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        batches = self._records.batches
        if not batches.has_next():
            yield from self._handed_over("The batch is cut off.", None)
        while batches.has_next():
            # The same steps as aiokafka's own; each can meet bytes that are damaged.
            try:
                batch = batches.next_batch()
                if self._check_crcs and not batch.validate_crc():
                    batch = None
                    fault: Exception | None = None
                elif self._is_left_out(batch):
                    self.next_fetch_offset = batch.next_offset
                    continue
                else:
                    fault = None
            except Exception as error:  # noqa: BLE001 - whatever the bytes are, the next batch is read
                batch, fault = None, error
            if batch is None:
                sentence = fault_of(fault) if fault else WRONG_CHECKSUM
                yield from self._handed_over(sentence, None)
                continue
            try:
                for record in batch:
                    if record.offset < self.next_fetch_offset:
                        continue
                    self.next_fetch_offset = record.offset + 1
                    yield self._consumer_record(self._tp, record)
            except Exception as error:  # noqa: BLE001 - the same
                if self.next_fetch_offset < batch.next_offset:
                    yield from self._handed_over(fault_of(error), error)
            else:
                self.next_fetch_offset = batch.next_offset

    def _is_left_out(self, batch: Any) -> bool:
        """Tell whether the batch holds no messages: a marker, or what an aborted transaction wrote."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return True
        return bool(batch.is_control_batch)

    def _handed_over(self, fault: str, error: Exception | None) -> Iterator[ConsumerRecord]:
        """Yield what can be had of the batch at the present offset, and go on behind it."""
        found = self._records.batch_from(self.next_fetch_offset)
        if found is None:
            return
        raw, first, last = found
        start = max(first, self.next_fetch_offset)
        if error is not None:
            for record in salvaged(raw, start):
                self.next_fetch_offset = record.offset + 1
                yield self._as_record(record, len(raw))
            start = max(start, self.next_fetch_offset)
            if start > last:
                self.next_fetch_offset = last + 1
                return
        times = struct.unpack_from(">q", raw, _TIMES_AT)[0] if len(raw) >= _TIMES_AT + 8 else -1
        span = f"offset {last}" if start == last else f"offsets {start} to {last}"
        whole = Salvaged(last, times, None, raw, (), f"{fault} It spans {span}.")
        self.next_fetch_offset = last + 1
        yield self._as_record(whole, len(raw))

    def _as_record(self, record: Salvaged, size: int) -> ConsumerRecord:
        known = (
            *(self._tp.topic, self._tp.partition, record.offset, record.timestamp, 0),
            *(record.key, record.value, None, -1, size, record.headers),
        )
        if record.fault is None:
            return ConsumerRecord(*known)
        return UnreadableRecord(*known, fault=record.fault)
