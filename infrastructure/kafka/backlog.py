"""What lies in Kafka beyond a position: how much, and since when. Asks without joining any group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from aiokafka import TopicPartition

from infrastructure.kafka import clients
from infrastructure.kafka.acls import check_authorized
from infrastructure.kafka.record_times import record_time

Partition = tuple[str, int]

_FIRST_MESSAGES_TIMEOUT_S: Final = 2.0
_POLL_TIMEOUT_MS: Final = 200


class FirstMessage(NamedTuple):
    """A message: its offset, and when it was sent, None where its time cannot be true."""

    offset: int
    sent_at: datetime | None


class Backlog:
    """Ends of topic-partitions, and the first message that was not ingested."""

    def __init__(self, bootstrap_servers: str) -> None:
        # One message is enough; the broker sends a larger one all the same.
        self._consumer = clients.consumer(
            bootstrap_servers,
            isolation_level="read_committed",  # what lies in an open transaction cannot be ingested yet
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=16 * 1024,
        )

    async def start(self) -> None:
        """Connect. Raises KafkaError; `stop` also then."""
        await self._consumer.start()
        # aiokafka 0.14: to close a client whose own task has not begun to run raises CancelledError.
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def ends(self, partitions: list[Partition]) -> dict[Partition, int]:
        """Return the offset after the last message of each partition."""
        asked = [TopicPartition(*partition) for partition in partitions]
        self._consumer.assign(asked)  # the client learns where these partitions are
        await check_authorized(self._consumer, {topic for topic, _ in partitions})
        return {(p.topic, p.partition): end for p, end in (await self._consumer.end_offsets(asked)).items()}

    async def first_messages(
        self, wanted: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> dict[Partition, FirstMessage | None]:
        """Return the first message at or after each wanted offset, None where only markers lie up to the end.

        A partition of which nothing is known within two seconds is left out.
        """
        waiting = {TopicPartition(*partition): offset for partition, offset in wanted.items()}
        found: dict[Partition, FirstMessage | None] = {}
        if not waiting:
            return found
        self._consumer.assign(list(waiting))
        for partition, offset in waiting.items():
            self._consumer.seek(partition, offset)
        try:
            async with asyncio.timeout(_FIRST_MESSAGES_TIMEOUT_S):
                while waiting:
                    fetched = await self._consumer.getmany(*waiting, timeout_ms=_POLL_TIMEOUT_MS)
                    for partition in list(waiting):
                        key = (partition.topic, partition.partition)
                        if records := fetched.get(partition):
                            found[key] = FirstMessage(records[0].offset, record_time(records[0].timestamp))
                        elif await self._consumer.position(partition) >= ends[key]:
                            found[key] = None
                        else:
                            continue
                        del waiting[partition]
        except TimeoutError:
            pass  # of the rest nothing is known
        return found
