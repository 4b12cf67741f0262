"""Plays a stream into Kafka as fast as it goes, and remembers when each message was handed over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from time import perf_counter
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from infrastructure.demo.message import UpstreamMessage
from infrastructure.kafka import clients

Coordinates = tuple[str, int, int]
"""Topic, partition and offset of a message."""

_STRIDE: Final = 100
"""How many messages are handed over between two looks at how far the readers are."""


class Player:
    """Sends messages in their order; `acknowledged` counts those that Kafka has taken."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self.acknowledged = 0
        self.handed_over_at: dict[Coordinates, float] = {}
        """When each message was handed to the producer (`perf_counter` seconds), before Kafka had it."""

    async def play(
        self, messages: Iterable[UpstreamMessage], room_for: Callable[[int], Awaitable[None]]
    ) -> None:
        """Send all of `messages`. `room_for(n)` returns when the n-th message may be sent.

        Raises KafkaError when a message is refused.
        """
        producer = clients.producer(self._bootstrap_servers, linger_ms=2)
        await producer.start()
        try:
            under_way: list[asyncio.Future[RecordMetadata]] = []
            for number, message in enumerate(messages, start=1):
                if number % _STRIDE == 1:
                    await asyncio.gather(*(done for done in under_way if done.done()))
                    under_way = [sent for sent in under_way if not sent.done()]
                    await room_for(number + _STRIDE)
                under_way.append(await self._send(producer, message))
            await asyncio.gather(*under_way)
        finally:
            await producer.stop()

    async def _send(
        self, producer: AIOKafkaProducer, message: UpstreamMessage
    ) -> asyncio.Future[RecordMetadata]:
        handed_over_at = perf_counter()
        sent: asyncio.Future[RecordMetadata] = await producer.send(
            message.topic, message.value, key=message.key, headers=list(message.headers)
        )

        def acknowledge(done: asyncio.Future[RecordMetadata]) -> None:
            if not done.cancelled() and done.exception() is None:
                record = done.result()
                self.acknowledged += 1
                self.handed_over_at[record.topic, record.partition, record.offset] = handed_over_at

        sent.add_done_callback(acknowledge)
        return sent
