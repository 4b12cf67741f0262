"""Sending to the broker of `ras up` no faster than messages are ingested.

Theory of operation. The embedded broker drops the oldest records of a partition when it holds 5 MB, read or not, and what
is dropped before the ingester has it is lost. So anyone who sends counts, partition by partition, the bytes that lie
beyond the stored position, and waits before there are too many. No message may be larger than the broker takes: that
is for the sender to see, before it sends anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import psycopg

from application.intake_positions import intake_position
from application.topics import INPUT_TOPICS
from infrastructure.errors import OperatorError
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.kafka.backlog import Backlog
from infrastructure.kafka.topics import PARTITIONS

Partition = tuple[str, int]

UNREAD_BYTES: Final = 3_000_000
"""Of one partition: well below what the broker keeps, for its own account counts what is around a message too."""

_AROUND: Final = 100
"""Bytes that a record takes up besides key, value and headers."""

_POLL_S: Final = 0.05
_STANDSTILL_S: Final = 60.0


class NotTakenInError(OperatorError):
    """The ingester has not gone on for a minute, or has ended; the text says what to look at."""


class Pace:
    """Holds back one sender. `backlog` has for each partition the offset of its last message, if there are any."""

    def __init__(self, positions: PositionCopy, backlog: Mapping[Partition, int]) -> None:
        self._positions = positions
        # How large the messages are that lie there already nobody says: nothing is added to them.
        self._unread = {key: deque([(last, UNREAD_BYTES)]) for key, last in backlog.items()}
        self._bytes = dict.fromkeys(backlog, UNREAD_BYTES)

    async def make_room(self, partition: Partition, message_bytes: int) -> None:
        """Return when the message can be sent, and count it. Raises NotTakenInError."""
        size = message_bytes + _AROUND
        seen, since = self._bytes.get(partition, 0), monotonic()
        while (unread := self._bytes.get(partition, 0)) and unread + size > UNREAD_BYTES:
            await self._look()
            if self._bytes[partition] != seen:
                seen, since = self._bytes[partition], monotonic()
                continue
            if monotonic() - since > _STANDSTILL_S:
                raise NotTakenInError(
                    f"The ingester of `ras up` has ingested nothing of {partition[0]}, partition {partition[1]}, for "
                    f"{_STANDSTILL_S:.0f} s. `ras status` says why; what was sent before is not lost."
                )
            await asyncio.sleep(_POLL_S)
        self._bytes[partition] = unread + size

    def sent(self, partition: Partition, offset: int, message_bytes: int) -> None:
        """Note where a message lies for which there was room."""
        self._unread.setdefault(partition, deque()).append((offset, message_bytes + _AROUND))

    async def _look(self) -> None:
        try:
            positions = await self._positions.intake()
        except psycopg.OperationalError as error:
            raise NotTakenInError(
                "The `ras up` that the messages go to has ended, and its broker with it; what it has written last says why."
            ) from error
        for partition, unread in self._unread.items():
            position = positions.get(intake_position(*partition), -1)
            while unread and unread[0][0] <= position:
                self._bytes[partition] -= unread.popleft()[1]


@asynccontextmanager
async def paced(address: str, database_url: str) -> AsyncIterator[Pace]:
    """Lend a pace for the embedded broker at `address`, by the positions in a database."""
    positions = PositionCopy(database_url, "")
    try:
        yield Pace(positions, await _backlog(address))
    finally:
        await positions.close()


async def _backlog(address: str) -> dict[Partition, int]:
    """Return the last offset of each input partition in which something lies."""
    backlog = Backlog(address)
    try:
        await backlog.start()
        ends = await backlog.ends([(topic, n) for topic in INPUT_TOPICS for n in range(PARTITIONS)])
    finally:
        await backlog.stop()
    return {partition: end - 1 for partition, end in ends.items() if end}
