"""Sending what ordinary producers do not send: transactions, codecs, record times, and batches whose bytes are altered."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from tests.support.topics import Sendable

_DEADLINE_S: Final = 30.0
_CRC_AT: Final = 17
_CRC_COVERS_FROM: Final = 21


def send_in_one_transaction(
    bootstrap_servers: str, messages: Iterable[Sendable], *, then_abort: Iterable[Sendable] = ()
) -> None:
    """Commit `messages` as one transaction; then write `then_abort` in another one and abort it."""
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "transactional.id": "upstream", "log_level": 0}
    )
    producer.init_transactions(_DEADLINE_S)
    for group, end in ((messages, producer.commit_transaction), (then_abort, producer.abort_transaction)):
        producer.begin_transaction()
        for message in group:
            producer.produce(message.topic, message.value, key=message.key, headers=list(message.headers))
        producer.flush(_DEADLINE_S)
        end(_DEADLINE_S)


def send_compressed(bootstrap_servers: str, messages: Iterable[Sendable], codec: str) -> None:
    """Send messages in batches of the producer's codec."""
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "compression.type": codec, "linger.ms": 50, "log_level": 0}
    )
    for message in messages:
        producer.produce(message.topic, message.value, key=message.key, headers=list(message.headers))
    assert producer.flush(_DEADLINE_S) == 0


def send_at(bootstrap_servers: str, message: Sendable, *, timestamp: int, partition: int) -> None:
    """Send one message whose record time is `timestamp`."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    producer.produce(message.topic, message.value, key=message.key, timestamp=timestamp, partition=partition)
    assert producer.flush(_DEADLINE_S) == 0


def send_with_header_name(bootstrap_servers: str, message: Sendable, name: bytes, *, partition: int) -> int:
    """Send one message with a header of this name, UTF-8 or not, between two others, and return the first offset."""
    placeholder = b"X" * len(name)

    def alter(batch: bytearray) -> None:
        if placeholder not in batch:
            return  # a repeat after a refusal by the broker
        at = batch.index(placeholder)
        batch[at : at + len(name)] = name
        struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_CRC_COVERS_FROM:])))

    return asyncio.run(_send_altered(bootstrap_servers, message, placeholder.decode(), alter, partition))


async def _send_altered(
    servers: str, message: Sendable, header: str, alter: Callable[[bytearray], None], partition: int
) -> int:
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        batch = producer.create_batch()
        plain = list(message.headers)
        for headers in (plain, [*plain, (header, b"sv")], plain):
            batch.append(key=message.key, value=message.value, timestamp=None, headers=headers)
        build = batch._build

        def altered() -> Any:
            buffer = bytearray(build())
            alter(buffer)
            batch._buffer = buffer
            return buffer

        batch._build = altered
        sent = await (await producer.send_batch(batch, message.topic, partition=partition))
        return int(sent.offset)
