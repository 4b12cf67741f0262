"""Writes micro-batches: decided on by other processes where there is much to do, else here.

Theory of operation. A micro-batch that is begun while the last one is written was decided on, or at least translated,
when its turn comes. What other processes decided is recorded as it is. If that is not possible (somebody else wrote
to a stream, the store refuses an event, a process has ended), this one does all of it again by itself, and
what was decided after it is void. The next one is begun after that commit, so that it can be decided on elsewhere again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Final

from application.deciding import IngestResult, Intake
from application.ingest import IngestMicroBatch, Place
from application.ports import StreamConflictError, UnstorableError
from domain.slices import SliceRange
from infrastructure.eventstore.store import TRANSIENT_ERRORS
from infrastructure.intake.deciding_processes import DecidingProcesses, Ticket
from infrastructure.intake.incoming import Raw, incoming, translated

BACKLOG_MESSAGES: Final = 100
"""From this many messages in one fetch on, the next is made while they are ingested."""

_BACKLOG_S: Final = 30.0
"""For how long after the last backlog other processes decide. Then they end, and their memory is free."""

_APART_S: Final = 5.0
"""For how long nobody else must have written to the same streams."""

Positions = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class Portion:
    """The records of a micro-batch, and what was begun with them: decided on elsewhere, or translated here."""

    records: Sequence[Raw]
    ticket: Ticket | None = None
    intakes: list[Intake] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of those records of a micro-batch that were next; `intakes` only if they were translated here."""

    taken: IngestResult
    records: Sequence[Raw]
    intakes: Sequence[Intake] = ()

    @property
    def times(self) -> list[tuple[str, int, int]]:
        """Topic, partition and time of each message."""
        return [(record[0], record[1], record[3]) for record in self.records]


class MicroBatchWriter:
    """Begins micro-batches and writes them, in the order in which they were begun."""

    def __init__(
        self, use_case: IngestMicroBatch, deciding: DecidingProcesses | None, *, future_tolerance: timedelta
    ) -> None:
        self._use_case = use_case
        self._deciding = deciding
        self._tolerance = future_tolerance
        self._backlog_at = -_BACKLOG_S
        self._contended_at = -_APART_S
        self.cached = 0
        self.hits = 0
        self.misses = 0

    def own(self, slices: SliceRange) -> None:
        """Write what is of `slices` from here on, and forget what is known: others may have written to these streams."""
        self._use_case.forget()
        self._use_case.own(slices)
        if self._deciding is not None:
            self._deciding.own(slices)

    def note_fetched(self, messages: int) -> None:
        """Note how many messages came at once."""
        if messages >= BACKLOG_MESSAGES:
            self._backlog_at = monotonic()

    async def begin(self, records: list[Raw], positions: Positions, at_work: asyncio.Lock) -> Portion:
        """Let other processes decide on those of `records` that are next, or translate all here.

        `at_work` is held by anyone who writes.
        """
        if self._deciding is not None and self._is_decided_elsewhere():
            try:
                if not self._use_case.is_enrolled:
                    async with at_work:
                        await asyncio.to_thread(self._use_case.enrol)
            except TRANSIENT_ERRORS:
                pass  # the attempt to write meets it again, and waits
            else:
                mine = [record for record in records if _is_next(record, positions)]
                if mine and (ticket := self._deciding.ask(mine)) is not None:
                    return Portion(mine, ticket)
        intakes = await asyncio.to_thread(translated, records, future_tolerance=self._tolerance)
        return Portion(records, None, intakes)

    def may_begin_next(self, portions: Sequence[Portion]) -> bool:
        """Whether what follows can be begun before `portions` are written."""
        if self._deciding is None or not self._is_decided_elsewhere():
            return True
        ticket = portions[0].ticket
        return ticket is not None and self._deciding.is_next(ticket)

    def write(self, portion: Portion, positions: Positions, reached: Mapping[Place, int]) -> Written:
        """Ingest `portion` in one transaction. Blocks, and raises as `IngestMicroBatch.take_in` does."""
        taken = self._recorded(portion, positions, reached)
        if taken is not None:
            return Written(taken, portion.records)
        self.void()
        intakes = portion.intakes or translated(portion.records, future_tolerance=self._tolerance)
        both = [
            (intake, record)
            for intake, record in zip(intakes, portion.records, strict=True)
            if _is_next(record, positions)
        ]
        mine, records = [intake for intake, _ in both], [record for _, record in both]
        try:
            taken = self._use_case.take_in(mine, positions, reached)
        finally:
            self.void()  # what was begun meanwhile was decided without this
        cache = self._use_case.cache
        self.cached, self.hits, self.misses = len(cache), cache.hits, cache.misses
        cache.hits = cache.misses = 0
        return Written(taken, records, mine)

    def _recorded(
        self, portion: Portion, positions: Positions, reached: Mapping[Place, int]
    ) -> IngestResult | None:
        """Record what was decided elsewhere; None if nothing was, or if it cannot be recorded as it is."""
        deciding, ticket = self._deciding, portion.ticket
        if deciding is None or ticket is None or not deciding.is_next(ticket):
            return None
        answer = deciding.answer_of(ticket)
        if answer.decided is None:
            return None
        last = {(record[0], record[1]): record for record in portion.records}
        messages = {partition: incoming(record) for partition, record in last.items()}
        try:
            self._use_case.record(answer.decided, messages, positions, reached)
        except (StreamConflictError, UnstorableError):
            return None
        deciding.recorded(ticket)
        self.cached, self.hits, self.misses = answer.cached, answer.hits, answer.misses
        return IngestResult([*answer.decided.put_aside], answer.decided.counts)

    def void(self) -> None:
        """Drop what is decided and not written: something else comes before it."""
        if self._deciding is not None:
            self._deciding.forget()

    def forget(self) -> None:
        """Forget what is known of the store: others may have written to it, or it may be another one."""
        self._use_case.forget()
        self.void()

    def stop(self) -> None:
        """End the other processes. Their connections may lead to a server that is not the store's any more."""
        if self._deciding is not None:
            self._deciding.stop()

    def stop_when_idle(self) -> None:
        """End the other processes if there has been no backlog for a while."""
        if monotonic() - self._backlog_at >= _BACKLOG_S:
            self.stop()

    def _is_decided_elsewhere(self) -> bool:
        now = monotonic()
        if self._use_case.is_contended:
            self._contended_at = now
        return (
            self._deciding is not None
            and now - self._backlog_at < _BACKLOG_S
            and now - self._contended_at >= _APART_S
            and self._deciding.are_ready
        )


def _is_next(record: Raw, positions: Mapping[tuple[str, int], int]) -> bool:
    """Whether the record is of a partition of ours and not ingested yet."""
    position = positions.get((record[0], record[1]))
    return position is not None and record[2] > position
