"""Taking in a micro-batch of messages: one transaction for all their events and positions.

Theory of operation. Messages are translated first (no state needed). Then, in one transaction, the
batches they speak of are fetched, each message is applied to its batch, and all events go into the
store with the positions behind the messages. Four things can go wrong, each with its own way out:

- Another ingester wrote to one of the batches (messages of one batch lie in several partitions, so this
  is normal). The batches leave the cache and the work is done again under the store's lock, where
  nobody can get ahead of it.
- Another owner moved a position: we are a zombie, or were one. `StalePositionError` goes to the caller,
  who reads the positions again and seeks.
- The store refuses what a message holds. The micro-batch is halved until the message is alone, which
  then becomes a dead letter.
- Our own code fails on a message. That message is parked in its batch's stream, and what follows for
  the batch waits behind it, while all other batches go on.

Everything else (the database is away) goes to the caller; nothing was written and nothing was cached.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from application.batches import Batch, BatchCache, load_batches
from application.messages import IncomingMessage
from application.ports import (
    Advance,
    EventStorePort,
    IntakeCounts,
    StalePositionError,
    StoreTransaction,
    StreamConflictError,
    UnstorableError,
    intake_position,
)
from application.translate import Command, Rejection
from domain.aggregate import DomainEvent
from domain.batch import batch_stream_id
from domain.dead_letters import DeadLetter, Reason, dead_letter_stream_id
from domain.parking import UnreadableStream

_WAITS: Final = "An earlier message of this batch is parked."


@dataclass(frozen=True, slots=True)
class Intake:
    """A message and what it was translated to."""

    message: IncomingMessage
    outcome: Command | Rejection


@dataclass(slots=True)
class Taken:
    """What a micro-batch came to."""

    events: list[DomainEvent] = field(default_factory=list)
    counts: dict[tuple[str, int], IntakeCounts] = field(default_factory=dict)
    conflicts: int = 0

    def count(self, message: IncomingMessage, kind: str) -> None:
        """Count one message under `kind`, a field of IntakeCounts."""
        counts = self.counts.setdefault((message.topic, message.partition), IntakeCounts())
        counts.taken_in += 1
        setattr(counts, kind, getattr(counts, kind) + 1)

    def add(self, other: Taken) -> None:
        """Take over what another part of the same micro-batch came to."""
        self.events += other.events
        self.conflicts += other.conflicts
        for key, counts in other.counts.items():
            mine = self.counts.setdefault(key, IntakeCounts())
            for name in IntakeCounts.__slots__:
                setattr(mine, name, getattr(mine, name) + getattr(counts, name))


class IngestMicroBatch:
    """The use case. Not for several threads at once: it owns its cache."""

    def __init__(self, store: EventStorePort, cache: BatchCache) -> None:
        self._store = store
        self._cache = cache
        self._at_work = Lock()

    @property
    def cache(self) -> BatchCache:
        """The batches at hand."""
        return self._cache

    def forget(self) -> None:
        """Empty the cache, for instance because other owners may have written meanwhile."""
        self._cache.clear()

    def skip(self, topic: str, partition: int, expected: int, to: int) -> None:
        """Move a position over offsets that Kafka does not have. Raises StalePositionError."""
        with self._store.transaction() as transaction:
            transaction.append([], [Advance(intake_position(topic, partition), expected, to)])

    def positions(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset last taken in of each topic-partition, -1 where there was none yet."""
        names = {intake_position(*partition): partition for partition in partitions}
        with self._store.transaction() as transaction:
            found = transaction.claim(list(names), start=-1)
        return {names[name]: position for name, position in found.items()}

    def take_in(self, intakes: Sequence[Intake], positions: dict[tuple[str, int], int]) -> Taken:
        """Take in `intakes` (each partition's in offset order) and move `positions` behind them.

        `positions` must hold what the store holds; it is updated when the transaction is committed.
        Raises StalePositionError if it did not, and the store's errors when the database is away.
        """
        # A thread goes on after the task that awaits it was cancelled: a second one must not meet it here.
        if not self._at_work.acquire(blocking=False):
            raise RuntimeError(
                "Two threads take in messages with one cache. Nothing was written by this one."
            )
        try:
            return self._take_in(intakes, positions)
        finally:
            self._at_work.release()

    def _take_in(self, intakes: Sequence[Intake], positions: dict[tuple[str, int], int]) -> Taken:
        if not intakes:
            return Taken()
        streams = {
            batch_stream_id(intake.outcome.batch_id)
            for intake in intakes
            if isinstance(intake.outcome, Command)
        }
        try:
            try:
                return self._attempt(intakes, positions, streams, exclusive=False)
            except StreamConflictError:
                taken = self._attempt(intakes, positions, streams, exclusive=True)
                taken.conflicts += 1
                return taken
        except StalePositionError:
            self._cache.clear()
            raise
        except UnstorableError as error:
            return self._isolate(intakes, positions, error)

    def _attempt(
        self,
        intakes: Sequence[Intake],
        positions: dict[tuple[str, int], int],
        streams: set[str],
        *,
        exclusive: bool,
    ) -> Taken:
        reached: dict[tuple[str, int], int] = {}
        for intake in intakes:
            reached[intake.message.topic, intake.message.partition] = intake.message.offset
        moves = [
            Advance(intake_position(*partition), positions[partition], offset)
            for partition, offset in reached.items()
        ]
        with self._store.transaction() as transaction:
            if exclusive:
                transaction.lock()
            batches = self._cache.fetch(sorted(streams), transaction.load)
            # Looked up only after a conflict: a letter is there already when Kafka was read again from earlier.
            known_letters = frozenset(transaction.load(_letter_ids(intakes)) if exclusive else ())
            taken = _decide(intakes, batches, known_letters, transaction)
            transaction.append(taken.events, moves)
            transaction.count(taken.counts)
        self._cache.keep(batches)
        positions.update(reached)
        return taken

    def _isolate(
        self, intakes: Sequence[Intake], positions: dict[tuple[str, int], int], error: UnstorableError
    ) -> Taken:
        if len(intakes) == 1:
            outcome = intakes[0].outcome
            if isinstance(outcome, Rejection):
                raise error
            rejection = Rejection(Reason.NOT_STORABLE, str(error), outcome.causation)
            return self._take_in([Intake(intakes[0].message, rejection)], positions)
        half = len(intakes) // 2
        taken = self._take_in(intakes[:half], positions)
        taken.add(self._take_in(intakes[half:], positions))
        return taken


def _decide(
    intakes: Sequence[Intake],
    batches: dict[str, Batch],
    known_letters: frozenset[str],
    transaction: StoreTransaction,
) -> Taken:
    taken = Taken()
    for intake in intakes:
        message, outcome = intake.message, intake.outcome
        if isinstance(outcome, Rejection):
            if _letter_id(message) in known_letters:
                taken.count(message, "repeated")
                continue
            taken.events += _dead_letter(message, outcome)
            taken.count(message, "dead_lettered")
            continue
        stream_id = batch_stream_id(outcome.batch_id)
        batch = batches[stream_id]
        reason = _WAITS
        if not isinstance(batch, UnreadableStream) and not batch.is_parked:
            try:
                outcome.apply(batch)
            except Exception as fault:  # noqa: BLE001 - whatever our own code does wrong, only this batch waits
                reason = f"{type(fault).__name__}: {fault}"
                batch = batches[stream_id] = _as_before(stream_id, taken, transaction)
            else:
                events = batch.collect_events()
                taken.events += events
                taken.count(message, "recorded" if events else "repeated")
                continue
        _park(batch, message, outcome, reason)
        taken.events += batch.collect_events()
        taken.count(message, "parked")
    return taken


def _as_before(stream_id: str, taken: Taken, transaction: StoreTransaction) -> Batch:
    """Return the batch as it was before the message on which our code failed half-way."""
    batch = load_batches([stream_id], transaction.load)[stream_id]
    for event in taken.events:
        if event.originator_id == stream_id:
            batch.apply(event)
    return batch


def _park(batch: Batch, message: IncomingMessage, command: Command, reason: str) -> None:
    batch.park(
        reason=reason,
        key=_base64(message.key),
        value=_base64(message.value),
        headers=tuple((name, b64encode(value).decode()) for name, value in message.headers),
        happened_at=command.happened_at,
        causation=command.causation,
    )


def _letter_id(message: IncomingMessage) -> str:
    return dead_letter_stream_id(message.topic, message.partition, message.offset, message.timestamp_ms)


def _letter_ids(intakes: Sequence[Intake]) -> list[str]:
    return [_letter_id(intake.message) for intake in intakes if isinstance(intake.outcome, Rejection)]


def _dead_letter(message: IncomingMessage, rejection: Rejection) -> list[DomainEvent]:
    letter = DeadLetter(_letter_id(message))
    letter.record(
        reason=rejection.reason,
        detail=rejection.detail,
        key=_base64(message.key),
        value=_base64(message.value),
        headers=tuple((name, b64encode(value).decode()) for name, value in message.headers),
        happened_at=message.timestamp,
        causation=rejection.causation,
    )
    return letter.collect_events()


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()
