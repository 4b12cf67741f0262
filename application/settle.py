"""Settling dead letters: trying a message again, ingesting a corrected one in its place, or giving it up.

A retry takes the ordinary way, from the bytes on: the same translation, the same commands, the original
coordinates as cause, received now. So does a correction, from the bytes that the operator gives. What it makes the aggregates record and what it leaves in the letter's own
stream are one transaction, under the store's lock: of two operators one comes second and finds the letter
settled, and anyone who is killed in between has changed nothing.

The counts of what came in stay as they are. They say what became of a message when it was ingested.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import WithJsonSchema

from application.aggregates import Streams, catch_up, load_aggregates
from application.deciding import Intake, decide
from application.kept_message import message_of
from application.messages import IncomingMessage
from application.ports import EventStorePort, StoreTransaction, UnreadableEvents, UnstorableError
from application.translate import Rejection, translate
from application.translated_messages import READERS, TranslatedMessage
from domain.aggregate import DomainEvent
from domain.dead_letters import DeadLetter, MessageDeadLettered, Reason, RetryOutcome

_MOST_EVENTS = 10_000
"""More attempts than anybody makes at one letter."""


LARGEST_CORRECTION: Final = 10_000_000
"""Bytes of a corrected message: more than a Kafka topic takes unless it was told to take more."""


class UnknownLetterError(LookupError):
    """There is no letter in this stream."""


class UnreadableLetterError(Exception):
    """What is recorded of a letter, or of its topic, is beyond this release; the text says what."""


class RefusedCorrectionError(Exception):
    """The corrected message is refused too; the text gives the reason. The letter stays open."""


@dataclass(frozen=True, slots=True)
class Retried:
    """What came of a retry; `reason` and `detail` say why it was refused."""

    outcome: RetryOutcome
    reason: Annotated[Reason | None, WithJsonSchema({"type": ["string", "null"]})] = None
    detail: str | None = None


class SettleDeadLetters:
    """The use cases. They block: keep them off the event loop."""

    def __init__(
        self, store: EventStorePort, *, future_tolerance: timedelta, notes_progress: bool = True
    ) -> None:
        self._store = store
        self._notes_progress = notes_progress
        self._future_tolerance = future_tolerance

    def retry(self, stream_id: str, *, by: str) -> Retried:
        """Take the message of a letter in again, for the operator `by`.

        Raises UnknownLetterError, LetterSettledError, UnreadableLetterError; nothing has changed then.
        """
        try:
            return self._retry(stream_id, by)
        except UnstorableError as error:
            return self._retry(stream_id, by, unstorable=str(error))

    def replace(self, stream_id: str, value: bytes, *, by: str, why: str) -> RetryOutcome:
        """Ingest the corrected message `value` with the letter's topic, key and headers; the letter is settled then.

        Raises what `retry` raises, and RefusedCorrectionError; nothing has changed then.
        """
        if len(value) > LARGEST_CORRECTION:
            raise RefusedCorrectionError(f"It has more than {LARGEST_CORRECTION:,} bytes.")
        now = datetime.now(UTC)
        try:
            with self._store.transaction() as transaction:
                _, aside = _open_letter(stream_id, transaction)
                message = replace(message_of(aside), value=value)
                translated = self._translated(message, now)
                if isinstance(translated, Rejection):
                    raise RefusedCorrectionError(f"{translated.reason}: {translated.detail}")
                letter, events, outcome = _ingested(
                    stream_id, message, translated, transaction, notes_progress=self._notes_progress
                )
                letter.replace(
                    b64encode(value).decode(),
                    outcome,
                    by=by,
                    why=why,
                    happened_at=now,
                    causation=translated.causation,
                )
                transaction.append(events + letter.collect_events(), [])
        except UnstorableError as error:
            raise RefusedCorrectionError(f"{Reason.NOT_STORABLE}: {error}") from error
        return outcome

    def discard(self, stream_id: str, *, by: str, why: str) -> None:
        """Give the message of a letter up; it stays in its stream. Raises what `retry` raises."""
        now = datetime.now(UTC)
        with self._store.transaction() as transaction:
            transaction.lock()
            letter, message = _open_letter(stream_id, transaction)
            letter.discard(
                by=by, why=why, happened_at=now, causation=replace(message.causation, received_at=now)
            )
            transaction.append(letter.collect_events(), [])

    def _retry(self, stream_id: str, by: str, *, unstorable: str | None = None) -> Retried:
        now = datetime.now(UTC)
        with self._store.transaction() as transaction:
            _, aside = _open_letter(stream_id, transaction)
            message = message_of(aside)
            outcome = self._translated(message, now)
            if unstorable is not None:
                outcome = Rejection(Reason.NOT_STORABLE, unstorable, outcome.causation)
            if isinstance(outcome, Rejection):
                transaction.lock()
                letter, _ = _open_letter(stream_id, transaction)
                events: list[DomainEvent] = []
                retried = Retried(RetryOutcome.REFUSED, outcome.reason, outcome.detail)
            else:
                letter, events, kind = _ingested(
                    stream_id, message, outcome, transaction, notes_progress=self._notes_progress
                )
                retried = Retried(kind)
            letter.retry(
                retried.outcome,
                reason=retried.reason,
                detail=retried.detail,
                by=by,
                happened_at=now,
                causation=outcome.causation,
            )
            transaction.append(events + letter.collect_events(), [])
        return retried

    def _translated(self, message: IncomingMessage, now: datetime) -> TranslatedMessage | Rejection:
        if message.topic not in READERS:
            raise UnreadableLetterError(f"This release does not read the topic {message.topic}.")
        return translate(message, received_at=now, future_tolerance=self._future_tolerance)


_TAKEN_IN = [outcome.value for outcome in RetryOutcome if outcome is not RetryOutcome.REFUSED]


def _ingested(
    stream_id: str,
    message: IncomingMessage,
    translated: TranslatedMessage,
    transaction: StoreTransaction,
    *,
    notes_progress: bool,
) -> tuple[DeadLetter, list[DomainEvent], RetryOutcome]:
    """Decide on a letter's message under the store's lock; return the letter, what to record, and what came of it."""
    streams: Streams = {command.stream_id: command.kind for command in translated.commands}
    aggregates = load_aggregates(streams, transaction.load)
    transaction.lock()
    # Only what was added meanwhile is read under the lock.
    catch_up(aggregates, transaction.load)
    letter, _ = _open_letter(stream_id, transaction)
    taken = decide(
        [Intake(message, translated)],
        aggregates,
        frozenset(),
        transaction.load,
        notes_progress=notes_progress,
    )
    [counts] = taken.counts.values()
    [kind] = (kind for kind in _TAKEN_IN if getattr(counts, kind))
    return letter, taken.events, RetryOutcome(kind)


def _open_letter(stream_id: str, transaction: StoreTransaction) -> tuple[DeadLetter, MessageDeadLettered]:
    events = transaction.load({stream_id: 0}, most=_MOST_EVENTS).get(stream_id, [])
    if isinstance(events, UnreadableEvents):
        raise UnreadableLetterError(f"What is recorded of this letter cannot be read: {events.reason}.")
    letter = DeadLetter.replay(stream_id, events)
    if letter.message is None:
        raise UnknownLetterError("There is no such dead letter.")
    letter.must_be_open()
    return letter, letter.message
