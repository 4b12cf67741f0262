"""What lies in Kafka beyond a position: how much, and since when. Asks without joining any group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

Partition = tuple[str, int]

_FIRST_MESSAGES_TIMEOUT_S: Final = 2.0
_POLL_TIMEOUT_MS: Final = 200


class Backlog:
    """Ends of topic-partitions, and the time of the first message that was not taken in."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=16
            * 1024,  # one message is enough; the broker sends a larger one all the same
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
        return {(p.topic, p.partition): end for p, end in (await self._consumer.end_offsets(asked)).items()}

    async def first_times(self, wanted: Mapping[Partition, int]) -> dict[Partition, datetime]:
        """Return when the first message at or after each wanted offset was sent, where one comes soon."""
        waiting = {TopicPartition(*partition): offset for partition, offset in wanted.items()}
        found: dict[Partition, datetime] = {}
        if not waiting:
            return found
        self._consumer.assign(list(waiting))
        for partition, offset in waiting.items():
            self._consumer.seek(partition, offset)
        try:
            async with asyncio.timeout(_FIRST_MESSAGES_TIMEOUT_S):
                while waiting:
                    fetched = await self._consumer.getmany(*waiting, timeout_ms=_POLL_TIMEOUT_MS)
                    for partition, records in fetched.items():
                        if records and waiting.pop(partition, None) is not None:
                            at = datetime.fromtimestamp(records[0].timestamp / 1000, UTC)
                            found[partition.topic, partition.partition] = at
        except TimeoutError:
            pass  # deleted by retention, or the rest of a transaction: of these no time is known
        return found
