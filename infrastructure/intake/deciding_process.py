"""A second process that reads messages and decides on them, so that ingesting uses two cores.

Theory of operation. Of the work of an ingester, half is reading messages, deciding on them and encoding the events.
In a backlog that half goes to another process, one micro-batch after the other, while the ingester fetches the next
one and writes the last one. Nothing else changes: the ingester alone writes, and events and positions are one
transaction. The other process keeps the aggregates and takes for granted that what it decided will be recorded.

If that fails, or anything else is not as usual, the ingester does the work itself: everything that was decided and
not recorded is void, and the other process begins again from what is recorded. A decision is recorded only directly
after the one before it (`is_next`), so none can leave a gap in a stream.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from time import monotonic
from typing import Final

import structlog

from application.aggregates import AggregateCache
from application.deciding import DecideAhead, Decided
from infrastructure.eventstore.codec import EventCodec
from infrastructure.eventstore.store import EventStore
from infrastructure.gc_pacing import GcPacer
from infrastructure.intake.incoming import Raw, translated

_log = structlog.get_logger(__name__)

_BETWEEN_STARTS_S: Final = 30.0
"""How long the ingester works alone after the other process has ended by itself."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How messages are decided on."""

    future_tolerance: timedelta
    notes_progress: bool
    cache_max_essays: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """What was asked of the other process: the answer, and its place among what was asked."""

    round: int
    number: int
    answer: Future[Answer]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, None where none could be made; and the cache behind it."""

    decided: Decided | None
    fault: str = ""
    cached: int = 0
    hits: int = 0
    misses: int = 0


class DecidingProcess:
    """The other process, as its ingester sees it. `open_store` runs in there and must be a function of a module."""

    def __init__(self, open_store: Callable[[], tuple[EventStore, EventCodec]], rules: Rules) -> None:
        self._begin = (open_store, rules)
        self._pool: ProcessPoolExecutor | None = None
        self._started: Future[None] | None = None
        self._not_before = 0.0
        self._round = 0
        self._asked = 0
        self._recorded = 0
        self._lock = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether it can be asked. It starts when this is first wanted, which takes a second or so."""
        if self._started is None:
            if monotonic() >= self._not_before:
                self._start()
            return False
        if not self._started.done():
            return False
        if (fault := self._started.exception()) is not None:
            self._ended(str(fault))
            return False
        return True

    def ask(self, records: Sequence[Raw]) -> Ticket | None:
        """Let it decide on `records`, which follow those of the last ticket; None where it has ended."""
        with self._lock:
            if self._pool is None:
                return None
            try:
                answer = self._pool.submit(_decide, self._round, records)
            except RuntimeError:  # it has ended; who waits for an answer finds out
                return None
            self._asked += 1
            return Ticket(self._round, self._asked, answer)

    def answer_of(self, ticket: Ticket) -> Answer:
        """Wait for the answer."""
        try:
            return ticket.answer.result()
        except Exception as error:  # noqa: BLE001 - however it ended, its ingester goes on alone
            if ticket.round == self._round:
                self._ended(str(error) or type(error).__name__)
            return Answer(None, type(error).__name__)

    def is_next(self, ticket: Ticket) -> bool:
        """Whether everything that was decided before it, and nothing else, has been recorded."""
        with self._lock:
            return ticket.round == self._round and ticket.number == self._recorded + 1

    def recorded(self, ticket: Ticket) -> None:
        """Note that what was decided is recorded."""
        with self._lock:
            if ticket.round == self._round:
                self._recorded = ticket.number

    def forget(self) -> None:
        """Make everything void that was decided and not recorded."""
        with self._lock:
            self._round += 1
            self._asked = self._recorded = 0

    def stop(self) -> None:
        """End the other process, which starts again when it is wanted. Blocks."""
        with self._lock:
            pool, self._pool, self._started = self._pool, None, None
        self.forget()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _start(self) -> None:
        try:
            pool = ProcessPoolExecutor(
                1, mp_context=get_context("spawn"), initializer=_begin, initargs=self._begin
            )
            started = pool.submit(_nothing)
        except Exception as error:  # noqa: BLE001 - where no process can be started, one does the work
            self._ended(str(error))
            return
        with self._lock:
            self._pool, self._started = pool, started

    def _ended(self, reason: str) -> None:
        _log.warning("ingest.deciding_process_ended", reason=reason)
        self._not_before = monotonic() + _BETWEEN_STARTS_S
        self.stop()


class _Work:
    """What the other process keeps between two micro-batches."""

    def __init__(self, store: EventStore, codec: EventCodec, rules: Rules) -> None:
        self._codec = codec
        self._tolerance = rules.future_tolerance
        cache = AggregateCache(rules.cache_max_essays)
        self._ahead = DecideAhead(store, cache, notes_progress=rules.notes_progress)
        self._round = -1
        self._collector = GcPacer()
        self._collector.start()

    def decide(self, number: int, records: Sequence[Raw]) -> Answer:
        """Return what `records` make their aggregates record; a new `number` of a round voids what was not recorded."""
        if number != self._round:
            self._ahead.forget()
            self._round = number
        cache = self._ahead.cache
        cache.hits = cache.misses = 0
        try:
            taken = self._ahead.decide(translated(records, future_tolerance=self._tolerance))
            rows = self._codec.rows_of(taken.events)
        except Exception as error:  # noqa: BLE001 - the ingester does it again by itself, and handles the fault
            self._round = -1
            return Answer(None, type(error).__name__)
        self._collector.after(len(records))
        put_aside = list(taken.put_aside())
        return Answer(
            Decided(rows, taken.counts, put_aside),
            cached=len(cache),
            hits=cache.hits,
            misses=cache.misses,
        )


_work: _Work | None = None


def _begin(open_store: Callable[[], tuple[EventStore, EventCodec]], rules: Rules) -> None:
    """Prepare the other process. It ends with its ingester, not by a signal that the terminal sends to both."""
    global _work
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = _Work(*open_store(), rules)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(0)


def _nothing() -> None:
    """Return as soon as the process is prepared."""


def _decide(number: int, records: Sequence[Raw]) -> Answer:
    if _work is None:
        raise RuntimeError("The process is not prepared.")
    return _work.decide(number, records)
