"""Outgoing records, collected into one record batch for each topic-partition and sent when it is full.

Whole batches are handed to the producer, because a future for each record costs as much as the record.
Within a large transaction full batches travel while the next ones are filled. What is left over at the end is
handed over without giving way in between, so that the producer adds all partitions of a small
transaction in one request and sends them in another: each further trip to the broker is latency.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from application.envelopes import OutgoingMessage
from infrastructure.errors import OperatorError
from infrastructure.publishing.parked_messages import refusal, size_of
from infrastructure.publishing.partitioner import partitions_of

MOST_BYTES: Final = 256 * 1024
"""Of a batch of several records; the setting of the producer."""


class MessageTooLargeError(OperatorError):
    """A topic does not take what RAS sends; the text names both. `smaller_batches` may help: try again."""

    def __init__(self, topic: str, largest: OutgoingMessage, records: int, size: int) -> None:
        super().__init__(
            f"{refusal(largest, size)} Raise max.message.bytes of the topic (`ras init` creates topics with 10 "
            "MiB). The publisher tries again by itself, and nothing is lost."
        )
        self.topic = topic
        self.size = size
        self.largest = largest
        self.smaller_batches = records > 1


class RecordBatches:
    """The records of one transaction of `producer`, each partition's in the order they are put in.

    `limits` names, for topics that refused larger ones, the most bytes of a batch.
    """

    def __init__(self, producer: AIOKafkaProducer, limits: Mapping[str, int]) -> None:
        self._producer = producer
        self._limits = limits
        self._largest: dict[tuple[str, int], OutgoingMessage] = {}
        self._filling: dict[tuple[str, int], BatchBuilder] = {}
        self._partitions: dict[str, int] = {}
        self._acknowledgements: list[tuple[asyncio.Future[Any], str, OutgoingMessage, int, int]] = []

    async def put(self, messages: Sequence[OutgoingMessage]) -> None:
        """Add `messages` to the partitions of their keys. Raises aiokafka's errors when the producer failed."""
        keys: dict[str, list[bytes]] = {}
        for message in messages:
            keys.setdefault(message.topic, []).append(message.key)
        places = {topic: partitions_of(these, await self._count(topic)) for topic, these in keys.items()}
        for message in messages:
            await self.put_at(message, places[message.topic][message.key])

    async def put_at(self, message: OutgoingMessage, partition: int) -> None:
        """Add `message` to `partition` of its topic."""
        lane = (message.topic, partition)
        batch = self._filling.get(lane)
        if batch is None or self._is_full(batch, message) or not _fits(batch, message):
            if batch is not None:
                await self._hand_over(lane, batch)
            batch = self._filling[lane] = self._producer.create_batch()
            _fits(batch, message)  # the first record of a batch always does
            self._largest[lane] = message
        elif len(message.value) > len(self._largest[lane].value):
            self._largest[lane] = message

    def _is_full(self, batch: BatchBuilder, message: OutgoingMessage) -> bool:
        limit = self._limits.get(message.topic)
        if limit is None or limit >= MOST_BYTES:  # the batch itself sees to that
            return False
        return bool(batch.size() + size_of(message) > limit)

    async def _count(self, topic: str) -> int:
        count = self._partitions.get(topic)
        if count is None:
            count = self._partitions[topic] = len(await self._producer.partitions_for(topic))
        return count

    async def acknowledged(self) -> None:
        """Hand over what is left and return when the broker has everything."""
        for lane, batch in self._filling.items():
            await self._hand_over(lane, batch)
        self._filling.clear()
        try:
            await asyncio.gather(*(future for future, *_ in self._acknowledgements))
        except MessageSizeTooLargeError as error:
            for future, *batch in self._acknowledgements:
                if future.done() and not future.cancelled() and future.exception() is error:
                    raise MessageTooLargeError(*batch) from error
            raise

    async def _hand_over(self, lane: tuple[str, int], batch: BatchBuilder) -> None:
        topic, partition = lane
        records, size = batch.record_count(), batch.size()
        future = await self._producer.send_batch(batch, topic, partition=partition)
        # Where another batch fails first nobody awaits this one: its error is the same and not worth a log line.
        future.add_done_callback(_retrieve)
        self._acknowledgements.append((future, topic, self._largest[lane], records, size))


def _fits(batch: BatchBuilder, message: OutgoingMessage) -> bool:
    """Append `message` if there is room."""
    appended = batch.append(
        timestamp=None, key=message.key, value=message.value, headers=list(message.headers)
    )
    return appended is not None


def _retrieve(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
