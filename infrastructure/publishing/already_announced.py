"""What the out-topics already contain, for a publisher whose store was restored.

An announcement from before the restore is recorded again when its messages are taken in again. That may be long
after the publisher began, and under any notification id: ids of transactions that came to nothing are gone. So
announcements are compared until the ingesters have come to where the input topics ended when the comparison began, and
the publisher to where the store ended then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import structlog

from application.envelopes import OutgoingMessage
from application.intake_positions import intake_position
from application.restore import announcement_digest, with_unused_id
from application.topics import (
    BATCH_ASSESSMENT_COMPLETED,
    BATCH_RESULTS_READY,
    DEAD_LETTERS,
    INPUT_TOPICS,
    OUTPUT_TOPICS,
    TEACHER_NOTIFICATION_REQUESTED,
)
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.kafka.committed_records import committed_records, event_id_of, is_ours

_log = structlog.get_logger(__name__)

_TOLD_FROM: Final = (
    BATCH_RESULTS_READY,
    BATCH_ASSESSMENT_COMPLETED,
    DEAD_LETTERS,
    TEACHER_NOTIFICATION_REQUESTED,
)
"""The notification of an announcement goes out in its transaction: what holds for announcements holds for it. It has no
digest of its own; progress, which is told by a notification alone, has one."""


class AnnouncedIndex:
    """What has been said, for as long as it has to be compared."""

    def __init__(self, bootstrap_servers: str, copy: PositionCopy, log: NotificationLog) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._copy = copy
        self._log = log
        self._said: frozenset[bytes] = frozenset()
        self._ids: frozenset[bytes] = frozenset()
        self._to_be_taken_in: Mapping[str, int] = {}
        self._until = 0

    def __len__(self) -> int:
        return len(self._said)

    async def learn(self, until: int) -> None:
        """Begin to compare, at least up to the notification id `until`.

        Raises aiokafka's errors when the broker is unavailable.
        """
        self._said, self._ids = await everything_said(self._bootstrap_servers)
        self._to_be_taken_in = await _last_offsets(self._bootstrap_servers)
        self._until = until

    def not_yet_announced(self, messages: Sequence[OutgoingMessage]) -> Sequence[OutgoingMessage]:
        """Return what is to be sent of an event's `messages`: nothing if its announcement was made.

        Else all of them, under ids that were not used for others.
        """
        if not self._ids:
            return messages
        if announcement_digest(messages[0].value) in self._said:
            return ()
        return [with_unused_id(message, self._ids) for message in messages]

    async def compared_to(self, to: int) -> int:
        """Return the position up to which a publisher that comes after `to` has to compare; 0 if it has not."""
        if self._to_be_taken_in:
            taken_in = await self._copy.intake()
            if all(taken_in.get(name, -1) >= offset for name, offset in self._to_be_taken_in.items()):
                self._to_be_taken_in = {}
                self._until = max(self._until, await self._log.head())
            else:
                self._until = max(self._until, to + 1)
        if to < self._until:
            return self._until
        if self._ids:
            _log.info("publisher.compared", position=to)
            self._said = self._ids = frozenset()
        return 0


async def everything_said(bootstrap_servers: str) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return a digest of each announcement and notice in the out-topics, and every event id; sixteen bytes each.

    Raises aiokafka's errors when the broker is unavailable.
    """
    said: set[bytes] = set()
    ids: set[bytes] = set()
    async with committed_records(bootstrap_servers, OUTPUT_TOPICS) as topics:
        async for record in topics.read({}):
            if not is_ours(record):
                continue
            with suppress(ValueError):  # a record of somebody else
                ids.add(UUID(event_id_of(record) or "").bytes)
            saying = announcement_digest(record.value) if record.topic in _TOLD_FROM else None
            if saying is not None:
                said.add(saying)
    return frozenset(said), frozenset(ids)


async def _last_offsets(bootstrap_servers: str) -> dict[str, int]:
    """Return the last offset of each input partition in which something lies, by the name of its position."""
    async with committed_records(bootstrap_servers, INPUT_TOPICS) as topics:
        return {
            intake_position(*partition): end - 1
            for partition, end in topics.ends.items()
            if end > topics.first[partition]
        }
