"""Dead letters: messages that RAS could not take in, kept whole so that nothing is lost.

A letter is open until an operator settles it: by a retry that ingests the message, by a corrected message
that is ingested in its place, or by discarding it. A retry that is refused again leaves it open, with the
new reason noted. What was settled stays in its stream and is not offered again.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from domain.aggregate import DomainEvent, EventSourcedAggregate
from domain.immutable import immutable
from domain.values import Causation


class Reason(StrEnum):
    """Why a message became a dead letter; stable names, used as filter and as metric label."""

    NO_VALUE = "no_value"
    NOT_JSON = "not_json"
    CONTRACT_VIOLATION = "contract_violation"
    IMPLAUSIBLE_TIME = "implausible_time"
    NOT_STORABLE = "not_storable"
    UNREADABLE = "unreadable"


@immutable(kw_only=True, slots=False)
class MessageDeadLettered(DomainEvent):
    """A message became a dead letter. `key`, `value` and header values are base64 of the raw bytes."""

    topic: ClassVar = "ras.dead-letter.message-dead-lettered.v1"

    reason: Reason
    detail: str
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...]


class RetryOutcome(StrEnum):
    """What came of trying again; all but `refused` settle the letter."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    PARKED = "parked"
    REFUSED = "refused"


@immutable(kw_only=True, slots=False)
class DeadLetterRetried(DomainEvent):
    """A dead letter was retried, for the `attempt`-th time; `reason` and `detail` say why it was refused."""

    topic: ClassVar = "ras.dead-letter.retried.v1"

    attempt: int
    outcome: RetryOutcome
    reason: Reason | None
    detail: str | None
    by: str


@immutable(kw_only=True, slots=False)
class DeadLetterDiscarded(DomainEvent):
    """An operator gave a message up: who (`by`) and `why`."""

    topic: ClassVar = "ras.dead-letter.discarded.v1"

    by: str
    why: str


@immutable(kw_only=True, slots=False)
class DeadLetterReplaced(DomainEvent):
    """An operator (`by`) had a corrected message ingested in place of this one, and said `why`.

    `value` is base64 of the corrected bytes. `outcome` is never `refused`: then nothing is recorded.
    """

    topic: ClassVar = "ras.dead-letter.replaced.v1"

    value: str
    outcome: RetryOutcome
    by: str
    why: str


class LetterState(StrEnum):
    """Where a letter stands."""

    OPEN = "open"
    RETRIED = "retried"
    REPLACED = "replaced"
    DISCARDED = "discarded"


PARKED: Final = "parked"
"""The reason shown for a message that waits behind a fault of our own code."""
DRAINED: Final = "drained"
"""The state shown for one that waited and was taken in after all."""
STATES: Final = (*(state.value for state in LetterState), DRAINED)


class LetterSettledError(Exception):
    """The letter was ingested or discarded before: it is not offered again."""


class DeadLetter(EventSourcedAggregate):
    """One message that could not be ingested, known by its coordinates and its time."""

    def __init__(self, stream_id: str) -> None:
        super().__init__(stream_id)
        self._state = LetterState.OPEN
        self._message: MessageDeadLettered | None = None
        self._attempts = 0

    @property
    def state(self) -> LetterState:
        """Where the letter stands."""
        return self._state

    @property
    def message(self) -> MessageDeadLettered | None:
        """The message as it was received, None for a letter that does not exist."""
        return self._message

    def record(
        self,
        *,
        reason: Reason,
        detail: str,
        key: str | None,
        value: str | None,
        headers: tuple[tuple[str, str], ...],
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Record the message as a dead letter, with the reason and a sentence for a person."""
        self.trigger_event(
            MessageDeadLettered,
            reason=reason,
            detail=detail,
            key=key,
            value=value,
            headers=headers,
            happened_at=happened_at,
            causation=causation,
        )

    def retry(
        self,
        outcome: RetryOutcome,
        *,
        by: str,
        happened_at: datetime,
        causation: Causation,
        reason: Reason | None = None,
        detail: str | None = None,
    ) -> None:
        """Note that the message was tried again and what came of it. Raises LetterSettledError."""
        self.must_be_open()
        self.trigger_event(
            DeadLetterRetried,
            attempt=self._attempts + 1,
            outcome=outcome,
            reason=reason,
            detail=detail,
            by=by,
            happened_at=happened_at,
            causation=causation,
        )

    def discard(self, *, by: str, why: str, happened_at: datetime, causation: Causation) -> None:
        """Give the message up. Raises LetterSettledError."""
        self.must_be_open()
        self.trigger_event(DeadLetterDiscarded, by=by, why=why, happened_at=happened_at, causation=causation)

    def replace(
        self,
        value: str,
        outcome: RetryOutcome,
        *,
        by: str,
        why: str,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Note that a corrected message, base64 in `value`, was ingested instead. Raises LetterSettledError."""
        self.must_be_open()
        self.trigger_event(
            DeadLetterReplaced,
            value=value,
            outcome=outcome,
            by=by,
            why=why,
            happened_at=happened_at,
            causation=causation,
        )

    def must_be_open(self) -> None:
        """Raise LetterSettledError unless the letter is open."""
        if self._state is LetterState.RETRIED:
            raise LetterSettledError("The message was ingested by an earlier retry.")
        if self._state is LetterState.REPLACED:
            raise LetterSettledError("A corrected message was ingested in its place.")
        if self._state is LetterState.DISCARDED:
            raise LetterSettledError("The message was discarded.")

    def _evolve(self, event: DomainEvent) -> None:
        match event:
            case MessageDeadLettered():
                self._message = event
            case DeadLetterRetried():
                self._attempts = event.attempt
                if event.outcome is not RetryOutcome.REFUSED:
                    self._state = LetterState.RETRIED
            case DeadLetterReplaced():
                self._state = LetterState.REPLACED
            case DeadLetterDiscarded():
                self._state = LetterState.DISCARDED


def dead_letter_stream_id(topic: str, partition: int, offset: int, timestamp_ms: int) -> str:
    """Return the stream of one message; its time tells apart offsets of a topic that was recreated."""
    return f"dead-letter-{topic}-{partition}-{offset}-{timestamp_ms}"
