"""Where a publisher that starts goes on: after what is published, where a person says, or behind a restore.

Kafka's topic knows what is published, and PostgreSQL has a late copy of that. A publisher refuses to start where they
contradict each other, and does so before it fences one that works.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import structlog
from aiokafka.errors import KafkaError

from application.topics import OUTPUT_TOPICS
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.followers.follower import TransientSinkError
from infrastructure.kafka import faults
from infrastructure.publishing.already_announced import AnnouncedIndex
from infrastructure.publishing.parked_messages import Parked, from_marks, to_marks
from infrastructure.publishing.position_topic import (
    PublishedPosition,
    PublisherPositionError,
    check_memory,
    check_resumable,
    restored,
)
from infrastructure.role_status import RoleStatus

_log = structlog.get_logger(__name__)


class MovePosition(Protocol):
    """Writes a position that does not follow from the one before, and returns what stays parked."""

    async def __call__(self, position: int, parked: Parked) -> Parked: ...


class Start(NamedTuple):
    """A position, and what is parked at it."""

    position: int
    parked: Parked = ()


class StartingPosition:
    """Decides where a publisher goes on. `resume_at` and `after_restore` are what a person has said of the next start."""

    def __init__(
        self,
        log: NotificationLog,
        copy: PositionCopy,
        announced: AnnouncedIndex,
        status: RoleStatus,
        *,
        resume_at: int | None,
        after_restore: bool,
    ) -> None:
        self._log = log
        self._copy = copy
        self._announced = announced
        self._status = status
        self._resume_at = resume_at
        self._after_restore = after_restore

    async def check(self, found: PublishedPosition | None, copy: int) -> None:
        """Raise PublisherPositionError where `after` would: before an older publisher that works is fenced.

        That one goes on meanwhile, so `copy` is read before `found`, and the end of the store last.
        """
        head = await self._log.head()
        if self._resume_at is not None:
            check_resumable(self._resume_at, head)
            return
        check_memory(found, copy)
        if not self._after_restore:
            await self._check_store(found, head)

    async def after(self, found: PublishedPosition | None, move: MovePosition) -> Start:
        """Return where to go on from `found`, once that is written. Raises PublisherPositionError."""
        head = await self._log.head()
        if self._resume_at is not None:
            return await self._resumed(found, self._resume_at, head, move)
        copy = await self._copy.read()
        check_memory(found, copy)
        if found is None:
            return Start(0)
        if from_marks(await self._copy.parked()) != found.parked:
            await self._copy.write_parked(to_marks(found.parked))
        if self._after_restore:
            return await self._gone_back(found.position, copy, head, move)
        await self._check_store(found, head)
        if found.compared_to > found.position:
            await self._compare(found.compared_to)
        return Start(found.position, found.parked)

    async def _check_store(self, found: PublishedPosition | None, head: int) -> None:
        if (complaint := await restored(found, self._copy, head)) is not None:
            raise PublisherPositionError(complaint)

    async def _resumed(
        self, found: PublishedPosition | None, resumed: int, head: int, move: MovePosition
    ) -> Start:
        """Go on where a person says."""
        check_resumable(resumed, head)
        parked = await move(resumed, from_marks(await self._copy.parked()) if found is None else found.parked)
        await self._copy.set_not_sent(OUTPUT_TOPICS, resumed)
        self._resume_at = None
        _log.warning("publisher.position_set", position=resumed, was=found and found.position)
        return Start(resumed, parked)

    async def _gone_back(self, position: int, copy: int, head: int, move: MovePosition) -> Start:
        """Go back to the copy, which was restored with the store, and leave out what has been said since."""
        await self._compare(max(position, head))
        parked = await move(copy, from_marks(await self._copy.parked()))
        self._after_restore = False
        _log.warning("publisher.after_restore", position=copy, was=position, said=len(self._announced))
        return Start(copy, parked)

    async def _compare(self, until: int) -> None:
        """Learn what has been said; a publisher that takes over before all is compared does so too."""
        self._status.waits_for("Kafka, to read what was published before the restore")
        try:
            await self._announced.learn(until)
        except (KafkaError, OSError) as error:
            raise TransientSinkError(faults.sentence(error)) from error
