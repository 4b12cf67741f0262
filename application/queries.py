"""The queries that readers may make: ports of the query API, and their results as plain JSON values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar
from uuid import UUID

from application.list_cursor import ListCursor
from domain.phase_progress import PhaseProgress
from domain.values import BatchStatus

if TYPE_CHECKING:
    # Every command loads this module, and pydantic builds the responses for a sixth of a second.
    from application.responses import batches as responses
    from application.responses.dead_letters import DeadLetter, DeadLetterPage, Parked
    from application.responses.inbox import Notifications
    from application.responses.organisations import OrganisationSummary

_Body = TypeVar("_Body")


@dataclass(frozen=True, slots=True)
class Answer(Generic[_Body]):
    """A body and what it was computed from: the notification id of the newest event in it.

    `generation` tells which side of the read model it came from: after a rebuild the same position may
    have another answer.
    """

    body: _Body
    position: int
    generation: int = 0

    @property
    def edition(self) -> Edition:
        """What another answer must share to be the same."""
        return Edition(self.generation, self.position)


class SeveralTeachersError(Exception):
    """The essay is in batches of more than one teacher: whose is asked for must be said."""


class Edition(NamedTuple):
    """Two answers to one question are the same when they are of the same edition."""

    generation: int
    position: int

    def __str__(self) -> str:
        """Return it as a part of an ETag."""
        return f"{self.generation}-{self.position}"


Outlines: TypeAlias = "Callable[[Sequence[str]], Awaitable[Mapping[str, responses.BatchStatus]]]"
"""Returns how batches stand, by their ids, without their essays."""


class BatchProgress(NamedTuple):
    """How a batch stands, without its essays, and how far it is in each phase."""

    status: responses.BatchStatus
    phases: tuple[PhaseProgress, ...]


ReadProgress: TypeAlias = "Callable[[Sequence[str]], Awaitable[Mapping[str, BatchProgress]]]"
"""Returns how far batches are, by their ids."""


class BatchQueries(Protocol):
    """Batches and essays."""

    async def status(self, batch_id: str) -> Answer[responses.BatchStatus] | None:
        """Return how a batch stands, None if it is not known."""

    async def edition(self, batch_id: str) -> Edition | None:
        """Return the edition of what `status` would answer, None if the batch is not known."""

    async def batches_of(
        self,
        user_id: str,
        *,
        limit: int,
        offset: int,
        statuses: Sequence[BatchStatus],
        after: ListCursor | None,
    ) -> responses.UserBatches:
        """Return a page of a user's batches, newest first: of those of these `statuses`, of all where there are none.

        It begins behind `after`, and leaves out `offset` more.
        """

    async def essay_analysis(
        self,
        essay_id: str,
        *,
        batch_id: str | None = None,
        teacher: str | None = None,
        with_errors: bool = False,
    ) -> Answer[responses.EssayAnalysis] | None:
        """Return everything known of an essay in one batch, None if it is in none.

        It is in the batch `batch_id`, or in one of `teacher`, where these are given; of several it is the one
        registered last. Raises SeveralTeachersError where neither is given and the essay is in batches of more than
        one teacher. `with_errors`: with the list of grammar errors.
        """


class OrganisationQueries(Protocol):
    """Organisations, as registrations name them."""

    async def batches_of_organisation(
        self,
        org_id: str,
        *,
        limit: int,
        offset: int,
        statuses: Sequence[BatchStatus],
        after: ListCursor | None,
    ) -> responses.UserBatches:
        """Return a page of an organisation's batches, as `BatchQueries.batches_of` does of a user's."""

    async def organisation_summary(self, org_id: str) -> OrganisationSummary:
        """Return how many batches an organisation has, none where no registration names it."""


class InboxQueries(Protocol):
    """Teachers' notifications."""

    async def notifications(
        self, teacher_id: str, *, limit: int, before: int | None, unread: bool
    ) -> Notifications:
        """Return a page, newest first, of those with a position less than `before`."""

    async def teacher_of(self, notification_id: UUID) -> str | None:
        """Return whose notification it is, None if there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which letters are asked for; None leaves a choice open. Received in [`since`, `until`).

    `batch` chooses messages that carry the id of this batch or of one of its essays, `essay` those that carry this id.
    """

    reason: str | None = None
    topic: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    batch: str | None = None
    essay: str | None = None

    @property
    def by_id(self) -> bool:
        """Whether only messages are wanted that carry an id."""
        return self.batch is not None or self.essay is not None

    @property
    def is_narrow(self) -> bool:
        """Whether anything besides the state chooses."""
        return self.by_id or any((self.reason, self.topic, self.since, self.until))


class Settleable(NamedTuple):
    """Open letters that fit: how many, and position and stream of the oldest. Not `is_complete`: there may be more.

    By an id, only some letters are searched at a time.
    """

    number: int
    letters: Sequence[Mapping[str, Any]]
    is_complete: bool


class DeadLetterQueries(Protocol):
    """Queries about dead letters and parked messages."""

    async def letters(self, wanted: LetterFilter, *, limit: int, before: int | None) -> DeadLetterPage:
        """Return a page, newest first, without the bytes.

        By an id, some letters are searched at a time: a page may hold fewer than `limit` and still have a cursor.
        """

    async def letter(self, position: int) -> DeadLetter | None:
        """Return one with its bytes in base64."""

    async def settleable(self, wanted: LetterFilter, *, after: int, limit: int) -> Settleable:
        """Return how many letters behind position `after` fit and are open, and the `limit` oldest.

        What waits in a stream is not among them: that is drained, in order. The state in `wanted` is not looked at.
        """

    async def parked(self) -> Parked:
        """Return the streams in which messages wait, the longest waiting first."""
