"""What the out-topics show to have been said, for a publisher whose store was restored."""

from __future__ import annotations

from typing import Final

from application.restore import saying_of
from application.topics import BATCH_ASSESSMENT_COMPLETED, BATCH_RESULTS_READY, DEAD_LETTERS
from infrastructure.kafka.committed import committed_records

_TOLD_FROM: Final = (BATCH_RESULTS_READY, BATCH_ASSESSMENT_COMPLETED, DEAD_LETTERS)
"""The teacher's notification goes out in the same transaction: what holds for announcements holds for it."""


async def everything_said(bootstrap_servers: str) -> frozenset[bytes]:
    """Return a digest of each announcement and notice in the out-topics; sixteen bytes each.

    Raises aiokafka's errors when the broker is away.
    """
    said: set[bytes] = set()
    async with committed_records(bootstrap_servers, _TOLD_FROM) as topics:
        async for record in topics.read({}):
            saying = saying_of(record.value)
            if saying is not None:
                said.add(saying)
    return frozenset(said)
