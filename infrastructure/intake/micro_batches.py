"""Cuts what was fetched into micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from infrastructure.intake.time_order import moment_of


def micro_batches(
    fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]], *, max_bytes: int
) -> Iterator[list[ConsumerRecord]]:
    """Yield records in the order of their times, each partition's in order, by the byte bound.

    A record that is larger than `max_bytes` is a micro-batch of its own.
    """
    batch: list[ConsumerRecord] = []
    size = 0
    for record in merge(*fetched.values(), key=moment_of):
        length = len(record.value or b"")
        if batch and size + length > max_bytes:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    yield batch
