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
from dataclasses import replace
from threading import Lock
from typing import Final
from uuid import uuid4

from application.aggregates import AggregateCache, Streams, catch_up
from application.deciding import Decided, IngestResult, Intake, decide, letter_ids, streams_of
from application.intake_positions import IntakePosition, Partition, Ranges, intake_position, later, lowest
from application.messages import IncomingMessage
from application.ports import (
    Advance,
    EventStorePort,
    StalePositionError,
    StreamConflictError,
    UnstorableError,
    ingester_position,
)
from application.translate import Rejection
from domain.dead_letters import Reason
from domain.slices import ALL_SLICES, SliceRange

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
        self._slices = ALL_SLICES
        self._ranges: dict[Partition, Ranges] = {}

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

    def own(self, slices: SliceRange) -> None:
        """Ingest messages of `slices` alone from here on. The caller reads the positions next, and hands in no others."""
        self._slices = slices
        self._ranges.clear()

    def ranges(self, partitions: Sequence[Partition]) -> Mapping[Partition, Ranges]:
        """Return where our slices stand in each topic-partition."""
        with self._store.transaction() as transaction:
            found = transaction.claim(partitions, self._slices)
        self._ranges.update(found)
        return found

    def positions(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """Return the offset up to which all is ingested of each topic-partition, -1 where nothing was yet."""
        return {partition: lowest(ranges) for partition, ranges in self.ranges(partitions).items()}

    def is_where_it_was(self, partitions: Sequence[Partition]) -> bool:
        """Whether the store has the positions that we know; if not, another owner moved one or it was restored."""
        known = {partition: self._ranges.get(partition) for partition in partitions}
        return self.ranges(partitions) == known

    def skip(self, topic: str, partition: int, expected: int, to: int, *, another_log: bool = False) -> None:
        """Move a position over offsets that Kafka has lost, or into another log. Raises StalePositionError."""
        before = self._ranges_of((topic, partition), expected)
        everywhere = another_log or to < expected
        after = tuple(
            IntakePosition(each.slices, to) if everywhere or each.offset < to else each for each in before
        )
        self._move({(topic, partition): (before, after)})

    def pass_over(
        self, seen: Mapping[Partition, tuple[int, str | None]], positions: dict[Partition, int]
    ) -> None:
        """Move `positions` over offsets that hold no message of ours.

        `seen` says up to where, and the mark of the last message there if it is known.
        Raises StalePositionError.
        """
        changes: dict[Partition, tuple[Ranges, Ranges]] = {}
        for partition, (to, mark) in seen.items():
            before = self._ranges_of(partition, positions[partition])
            after = tuple(
                replace(each, offset=to, mark=later(mark, each.mark)) if each.offset < to else each
                for each in before
            )
            changes[partition] = (before, after)
        self._move(changes)
        self._note({partition: after for partition, (_, after) in changes.items()}, positions)

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
        moves, after = self._moves(last, positions, reached)
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
        self._note(after, positions)

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
        moves, after = self._moves(last, positions, reached)
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
        self._note(after, positions)
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

    def _ranges_of(self, partition: Partition, position: int) -> Ranges:
        """Return where our slices stand. The caller knows where the last of them does."""
        known = self._ranges.get(partition)
        if known is None:
            return (IntakePosition(self._slices, position),)
        last = lowest(known)
        if last == position:
            return known
        return tuple(replace(each, offset=position) if each.offset == last else each for each in known)

    def _moves(
        self,
        last: Mapping[Partition, IncomingMessage],
        positions: Mapping[Partition, int],
        reached: Mapping[Place, int],
    ) -> tuple[list[Advance], dict[Partition, Ranges]]:
        """Return how the positions move behind the last message of each partition, and where they are then."""
        moves: list[Advance] = []
        moved: dict[Partition, Ranges] = {}
        for partition, message in last.items():
            end = reached.get((*partition, message.offset), message.offset)
            before = self._ranges_of(partition, positions[partition])
            moved[partition] = tuple(
                IntakePosition(each.slices, end, message.mark) if each.offset < end else each
                for each in before
            )
            moves += _advances(partition, before, moved[partition])
        return moves, moved

    def _note(self, moved: Mapping[Partition, Ranges], positions: dict[Partition, int]) -> None:
        self._ranges.update(moved)
        positions.update((partition, lowest(ranges)) for partition, ranges in moved.items())

    def _move(self, changes: Mapping[Partition, tuple[Ranges, Ranges]]) -> None:
        """Move positions without any event."""
        moves = [move for partition, change in changes.items() for move in _advances(partition, *change)]
        if moves:
            with self._store.transaction() as transaction:
                transaction.append([], moves)
        self._ranges.update((partition, after) for partition, (_, after) in changes.items())


def _advances(partition: Partition, before: Ranges, after: Ranges) -> list[Advance]:
    return [
        Advance(intake_position(*partition, old.slices), old.offset, new.offset, new.mark)
        for old, new in zip(before, after, strict=True)
        if old.offset != new.offset
    ]
