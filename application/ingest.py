"""Ingests a micro-batch of messages: one transaction for all events and positions.

Theory of operation. Messages are translated first (no state needed). Then, in one transaction, the
aggregates they speak of (batches, judging jobs) are fetched, each message's commands are applied to them,
and all events go into the store with the positions behind the messages. Five things can go wrong, each
with its own way out:

- Another ingester wrote to one of the streams (messages of one batch lie in several partitions, so this
  is normal). What was decided is dropped and the work is done again under the store's lock, where
  nobody can get ahead of it. What is not at hand is loaded before the lock is taken; under it only what
  others have added since is read, so the size of a stream does not matter there. As long as there is
  something, the next micro-batch begins under the lock at once.
- Another owner moved a position: we are a zombie, or were one. `StalePositionError` goes to the caller,
  who reads the positions again and seeks.
- The store was restored to an earlier day while we lived: our own position in it, which counts our transactions,
  is behind. `StalePositionError` too, even if nobody moved a position of ours: what we remember of the
  streams is of another store, and would leave a gap in their versions.
- The store refuses what a message holds. The micro-batch is halved until the message is alone, which
  then becomes a dead letter.
- Our own code fails on a command. Its message is parked in the aggregate's stream, and what follows for
  the aggregate waits behind it, while all others go on: those to which the same message speaks, too.

Everything else (the database is unavailable) goes to the caller; nothing was written and nothing was cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final
from uuid import uuid4

from application.aggregates import AggregateCache, Streams, catch_up
from application.deciding import Decided, IngestResult, Intake, decide, letter_ids, streams_of
from application.messages import IncomingMessage
from application.ports import (
    Advance,
    EventStorePort,
    StalePositionError,
    StreamConflictError,
    UnstorableError,
    ingester_position,
    intake_position,
)
from application.translate import Rejection
from domain.dead_letters import Reason

Place = tuple[str, int, int]
"""Topic, partition and offset."""

NOWHERE_FURTHER: Final[Mapping[Place, int]] = {}


class IngestMicroBatch:
    """The use case. Not for several threads at once: it owns its cache."""

    def __init__(self, store: EventStorePort, cache: AggregateCache, *, notes_progress: bool = True) -> None:
        self._store = store
        self._notes_progress = notes_progress
        self._cache = cache
        self._at_work = Lock()
        self._is_contended = False
        self._was_outrun = False
        self._position = ingester_position(str(uuid4()))
        self._written: int | None = None

    @property
    def cache(self) -> AggregateCache:
        """The aggregates at hand."""
        return self._cache

    @property
    def is_contended(self) -> bool:
        """Whether another ingester writes to the same streams at present."""
        return self._is_contended

    @property
    def is_enrolled(self) -> bool:
        """Whether it is known how many transactions this ingester has made."""
        return self._written is not None

    def forget(self) -> None:
        """Empty the cache, for instance because other owners may have written meanwhile."""
        self._cache.clear()
        self._written = None  # together with the cache, never alone: it vouches for what is in there

    def skip(
        self, topic: str, partition: int, expected: int, to: int, *, in_the_same_log: bool = False
    ) -> None:
        """Move a position over offsets that hold no message. Raises StalePositionError.

        In the same log the mark of the last message before them stays.
        """
        name = intake_position(topic, partition)
        with self._store.transaction() as transaction:
            mark = transaction.marks([name]).get(name) if in_the_same_log else None
            transaction.append([], [Advance(name, expected, to, mark)])

    def positions(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Return the offset last ingested of each topic-partition, -1 where there was none yet."""
        names = {intake_position(*partition): partition for partition in partitions}
        with self._store.transaction() as transaction:
            found = transaction.claim(list(names), start=-1)
        return {names[name]: position for name, position in found.items()}

    def marks(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
        """Return the mark of the message last ingested from each topic-partition, where it is known."""
        names = {intake_position(*partition): partition for partition in partitions}
        with self._store.transaction() as transaction:
            return {names[name]: mark for name, mark in transaction.marks(list(names)).items()}

    def take_in(
        self,
        intakes: Sequence[Intake],
        positions: dict[tuple[str, int], int],
        reached: Mapping[Place, int] = NOWHERE_FURTHER,
    ) -> IngestResult:
        """Take in `intakes` (each partition's in offset order) and move `positions` behind them.

        `reached` names, for messages behind which lie offsets without messages (markers of transactions), the
        last of these offsets: the position moves there.
        `positions` must hold what the store holds; it is updated when the transaction is committed.
        Raises StalePositionError if it did not, and the store's errors when the database is unavailable.
        """
        # A thread goes on after the task that awaits it was cancelled: a second one must not meet it here.
        if not self._at_work.acquire(blocking=False):
            raise RuntimeError(
                "Two threads take in messages with one cache. Nothing was written by this one."
            )
        try:
            return self._take_in(intakes, positions, reached)
        finally:
            self._at_work.release()

    def enrol(self) -> None:
        """Read how many transactions this ingester has made in this store, before anything is decided ahead."""
        if self._written is None:
            with self._store.transaction() as transaction:
                self._written = transaction.enrol(self._position)

    def record(
        self,
        decided: Decided,
        last: Mapping[tuple[str, int], IncomingMessage],
        positions: dict[tuple[str, int], int],
        reached: Mapping[Place, int] = NOWHERE_FURTHER,
    ) -> None:
        """Record what was decided ahead, and move `positions` behind the `last` message of each partition.

        `enrol` must have been called before it was decided. Raises StreamConflictError if another ingester has
        written to one of the streams and UnstorableError if the store refuses an event: nothing was written then,
        and `take_in` can handle both. Raises StalePositionError, and the store's errors, as `take_in` does.
        """
        moves, ends = _moves(last, positions, reached)
        written = self._written
        if written is None:
            raise StreamConflictError("What was known of the store has been forgotten since.")
        moves.append(Advance(self._position, written, written + 1))
        try:
            with self._store.transaction() as transaction:
                transaction.append_rows(decided.rows, moves)
                transaction.count(decided.counts)
        except StalePositionError:
            self.forget()
            raise
        except StreamConflictError:
            self._was_outrun = True
            raise
        self._cache.clear()  # what it holds is older now
        self._written = written + 1
        positions.update(ends)

    def _take_in(
        self,
        intakes: Sequence[Intake],
        positions: dict[tuple[str, int], int],
        reached: Mapping[Place, int],
    ) -> IngestResult:
        if not intakes:
            return IngestResult()
        try:
            return self._competing(intakes, positions, reached, streams_of(intakes))
        except StalePositionError:
            self.forget()
            raise
        except UnstorableError as error:
            return self._isolate(intakes, positions, reached, error)

    def _competing(
        self,
        intakes: Sequence[Intake],
        positions: dict[tuple[str, int], int],
        reached: Mapping[Place, int],
        streams: Streams,
    ) -> IngestResult:
        """Take in `intakes`, a second time under the lock if another ingester is ahead."""
        if not self._was_outrun:
            with suppress(StreamConflictError):
                return self._attempt(intakes, positions, reached, streams, exclusive=self._is_contended)
        self._was_outrun = False
        taken = self._attempt(intakes, positions, reached, streams, exclusive=True)
        taken.conflicts += 1
        # Whatever was loaded afresh just now shows no news: the next micro-batch has to find out.
        self._is_contended = True
        return taken

    def _attempt(
        self,
        intakes: Sequence[Intake],
        positions: dict[tuple[str, int], int],
        reached: Mapping[Place, int],
        streams: Streams,
        *,
        exclusive: bool,
    ) -> IngestResult:
        last = {(intake.message.topic, intake.message.partition): intake.message for intake in intakes}
        moves, ends = _moves(last, positions, reached)
        with self._store.transaction() as transaction:
            written = transaction.enrol(self._position) if self._written is None else self._written
            moves.append(Advance(self._position, written, written + 1))
            aggregates = self._cache.fetch(streams, transaction.load)
            if exclusive:
                transaction.lock()
                self._is_contended = catch_up(aggregates, transaction.load)
            # Looked up only after a conflict: a letter is there already when Kafka was read again from earlier.
            letters = dict.fromkeys(letter_ids(intakes), 0) if exclusive else {}
            known_letters = frozenset(transaction.load(letters, most=1) if letters else ())
            taken = decide(
                intakes, aggregates, known_letters, transaction.load, notes_progress=self._notes_progress
            )
            transaction.append(taken.events, moves)
            transaction.count(taken.counts)
        self._cache.keep(aggregates)
        self._written = written + 1
        positions.update(ends)
        return taken

    def _isolate(
        self,
        intakes: Sequence[Intake],
        positions: dict[tuple[str, int], int],
        reached: Mapping[Place, int],
        error: UnstorableError,
    ) -> IngestResult:
        if len(intakes) == 1:
            outcome = intakes[0].outcome
            if isinstance(outcome, Rejection):
                raise error
            rejection = Rejection(Reason.NOT_STORABLE, str(error), outcome.causation)
            return self._take_in([Intake(intakes[0].message, rejection)], positions, reached)
        half = len(intakes) // 2
        taken = self._take_in(intakes[:half], positions, reached)
        taken.add(self._take_in(intakes[half:], positions, reached))
        return taken


def _moves(
    last: Mapping[tuple[str, int], IncomingMessage],
    positions: Mapping[tuple[str, int], int],
    reached: Mapping[Place, int],
) -> tuple[list[Advance], dict[tuple[str, int], int]]:
    """Return how the positions move behind the last message of each partition, and where they are then."""
    ends = {
        partition: reached.get((*partition, message.offset), message.offset)
        for partition, message in last.items()
    }
    moves = [
        Advance(intake_position(*partition), positions[partition], ends[partition], message.mark)
        for partition, message in last.items()
    ]
    return moves, ends
