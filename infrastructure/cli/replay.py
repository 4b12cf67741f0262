"""`ras replay`: send a recorded stream to Kafka."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from difflib import get_close_matches
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError
from aiokafka.structs import RecordMetadata

from application.topics import INPUT_TOPICS
from domain.wording import counted
from infrastructure.addresses import kafka_servers
from infrastructure.cli.failures import CommandError
from infrastructure.cli.progress import ProgressBars
from infrastructure.cli.standard_output import say
from infrastructure.cli.starting import prepared, run
from infrastructure.cli.stream_file import RecordedMessage, read_stream
from infrastructure.kafka import clients, faults
from infrastructure.kafka.topics import MAX_MESSAGE_BYTES
from infrastructure.local.embedded_kafka import LARGEST_MESSAGE_BYTES
from infrastructure.local.running_note import kafka_to_send_to
from infrastructure.publishing.partitioner import partitions_of

if TYPE_CHECKING:
    from infrastructure.local.pacing import Pace


def replay(file: Path, *, bootstrap_servers: str | None, rate: float, json_output: bool) -> None:
    """Send a stream file to Kafka, `rate` messages per second (0: as fast as it goes)."""
    settings = prepared()
    if bootstrap_servers is not None:
        try:
            kafka_servers(bootstrap_servers)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--bootstrap-servers") from error
        settings = settings.model_copy(update={"kafka_bootstrap_servers": bootstrap_servers})
    messages = read_stream(file)
    address, up = kafka_to_send_to(settings)
    embedded = up if up is not None and up.embedded_kafka else None
    if embedded is not None:
        _refuse_too_large(messages)
    run(_send(messages, address, rate, embedded.servers.database_url if embedded else None))
    unread = Counter(message.topic for message in messages if message.topic not in INPUT_TOPICS)
    for topic, number in unread.items():
        say(not_read(topic, number), err=True)
    if json_output:
        topics = sorted({m.topic for m in messages})
        typer.echo(json.dumps({"sent": len(messages), "topics": topics, "topics_not_read": sorted(unread)}))
    else:
        say(f"{counted(len(messages), 'message')} sent.")


def not_read(topic: str, number: int) -> str:
    near = get_close_matches(topic, INPUT_TOPICS, n=1)
    meant = f"Did you mean {near[0]}?" if near else f"It reads {', '.join(INPUT_TOPICS)}."
    return f"ras: warning: {counted(number, 'message')} went to {topic}, which RAS does not read. {meant}"


def _refuse_too_large(messages: Sequence[RecordedMessage]) -> None:
    """Raise CommandError if the broker of `ras up` cannot hold a message."""
    for number, message in enumerate(messages, 1):
        if message.size > LARGEST_MESSAGE_BYTES:
            raise CommandError(
                f"Message {number}, for {message.topic}, has {message.size:,} bytes, and the broker that `ras up` brings "
                f"holds messages up to {LARGEST_MESSAGE_BYTES:,}. Nothing was sent. For larger ones set "
                "RAS_KAFKA_BOOTSTRAP_SERVERS to a Kafka of your own, for `ras up` too."
            )


async def _send(messages: Sequence[RecordedMessage], address: str, rate: float, paced_by: str | None) -> None:
    """Send `messages`, paced by the positions in the database `paced_by` if there is one."""
    producer = clients.producer(address, max_request_size=MAX_MESSAGE_BYTES, linger_ms=5)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(producer.stop)
        try:
            await producer.start()
        except ClusterAuthorizationFailedError as error:
            # A broker lets a user who may write to any topic begin, and says of the others only this.
            topics = {message.topic for message in messages}
            raise CommandError(f"{faults.missing_acl('WRITE', topics)} Nothing was sent.") from error
        progress = stack.enter_context(ProgressBars())
        task = progress.add_task("sending", total=len(messages))
        sender = _Sender(producer)
        if paced_by is not None:
            # Only then: a real Kafka needs no database beside it.
            from infrastructure.local.pacing import paced

            sender.pace = await stack.enter_async_context(paced(address, paced_by))
        pending = []
        for message in messages:
            pending.append(await sender.send(message))
            progress.advance(task)
            if rate:
                await asyncio.sleep(1 / rate)
        await asyncio.gather(*pending)


class _Sender:
    """Sends messages in their order; with a pace, no faster than they are ingested."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.pace: Pace | None = None
        self._producer = producer
        self._without_key = count()

    async def send(self, message: RecordedMessage) -> asyncio.Future[RecordMetadata]:
        """Return the broker's acknowledgement to come."""
        partition = None
        paced = self.pace is not None and message.topic in INPUT_TOPICS
        if self.pace is not None and paced:
            partition = await self._partition(message)
            await self.pace.make_room((message.topic, partition), message.size)
        acknowledged: asyncio.Future[RecordMetadata] = await self._producer.send(
            message.topic, message.value, key=message.key, headers=message.headers, partition=partition
        )
        if paced:
            acknowledged.add_done_callback(partial(self._note, message.size))
        return acknowledged

    async def _partition(self, message: RecordedMessage) -> int:
        partitions = len(await self._producer.partitions_for(message.topic))
        if message.key is None:
            return next(self._without_key) % partitions
        return partitions_of([message.key], partitions)[message.key]

    def _note(self, size: int, acknowledged: asyncio.Future[RecordMetadata]) -> None:
        if self.pace is not None and not acknowledged.cancelled() and acknowledged.exception() is None:
            lies = acknowledged.result()
            self.pace.sent((lies.topic, lies.partition), lies.offset, size)
