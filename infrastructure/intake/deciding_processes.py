"""Other processes that read messages and decide on them, so that ingesting uses several cores.

Theory of operation. Of the work of an ingester, most is reading messages, deciding on them and encoding the events.
In a backlog that goes to other processes, one micro-batch after the other, while the ingester fetches the next one
and writes the last one. Nothing else changes: the ingester alone writes, and events and positions are one
transaction. The others keep the aggregates, each those of its slices, and take for granted that what they decided
will be recorded.

If that fails, or anything else is not as usual, the ingester does the work itself: everything that was decided and
not recorded is void, and the others begin again from what is recorded. A decision is recorded only directly after
the one before it (`is_next`), so none can leave a gap in a stream.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from time import monotonic
from typing import Final

import structlog

from application.aggregates import AggregateCache
from application.deciding import DecideAhead, Decided, PutAside, add_counts
from application.ports import IntakeCounts, UnstorableError
from domain.slices import ALL_SLICES, SliceRange
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.store import EventStore
from infrastructure.gc_pacing import GcPacer
from infrastructure.intake.incoming import Raw, translated
from infrastructure.intake.shares import shares

_log = structlog.get_logger(__name__)

_BETWEEN_STARTS_S: Final = 30.0
"""How long the ingester works alone after another process has ended by itself, or had a fault."""
_END_S: Final = 5.0
_PIPE_BYTES: Final = 1 << 20
"""What a pipe holds at most without a privilege: some 3 MB come through it for each micro-batch, not in 50 pieces."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How messages are decided on."""

    future_tolerance: timedelta
    notes_progress: bool
    cache_max_essays: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """What was asked of the other processes: the answers, and its place among what was asked."""

    round: int
    number: int
    answers: list[Future[Answer]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision, None where none could be made; the fault, if it is one of the process; and the cache behind it."""

    decided: Decided | None
    fault: str = ""
    cached: int = 0
    hits: int = 0
    misses: int = 0


class DecidingProcesses:
    """The other processes, as their ingester sees them. `open_store` runs in there and must be a function of a module."""

    def __init__(self, number: int, open_store: Callable[[], EventStore], rules: Rules) -> None:
        self._number = number
        self._begin = (open_store, replace(rules, cache_max_essays=rules.cache_max_essays // number))
        self._pools: list[ProcessPoolExecutor] = []
        self._started: list[Future[None]] = []
        self._not_before = 0.0
        self._round = 0
        self._asked = 0
        self._recorded = 0
        self._lock = threading.Lock()
        self._slices = ALL_SLICES

    def own(self, slices: SliceRange) -> None:
        """Divide what is of `slices` from here on; all that was decided and not recorded is void."""
        self._slices = slices
        self.forget()

    @property
    def are_ready(self) -> bool:
        """Whether they can be asked. They start when this is first wanted, which takes a second or so."""
        if not self._started:
            if monotonic() >= self._not_before:
                self._start()
            return False
        if not all(each.done() for each in self._started):
            return False
        for each in self._started:
            if (fault := each.exception()) is not None:
                self._ended(str(fault))
                return False
        return True

    def ask(self, records: Sequence[Raw]) -> Ticket | None:
        """Let them decide on `records`, which follow those of the last ticket; None where they have ended."""
        divided = shares(records, self._number, self._slices)
        try:
            with self._lock:
                if not self._pools:
                    return None
                answers = [
                    pool.submit(_decide, self._round, self._asked + 1, self._recorded, share)
                    for pool, share in zip(self._pools, divided, strict=True)
                    if share
                ]
                self._asked += 1
                return Ticket(self._round, self._asked, answers)
        except RuntimeError as error:  # one has ended while it had nothing to do
            self._ended(str(error))
            return None

    def answer_of(self, ticket: Ticket) -> Answer:
        """Wait for the answers, and return them as one."""
        try:
            answer = _joined([answer.result() for answer in ticket.answers])
        except Exception as error:  # noqa: BLE001 - however one ended, its ingester goes on alone
            answer = Answer(None, str(error) or type(error).__name__)
        if answer.fault and ticket.round == self._round:
            self._ended(answer.fault)
        return answer

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
        """End the other processes, which start again when they are wanted. They write nothing, so they are killed."""
        with self._lock:
            pools, self._pools, self._started = self._pools, [], []
        self.forget()
        for pool in pools:
            processes = list((pool._processes or {}).values())  # noqa: SLF001 - there is no public way
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.kill()
            wait([process.sentinel for process in processes], _END_S)

    def _start(self) -> None:
        # A pool starts its process when it is first asked.
        pools = [
            ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=self._begin)
            for _ in range(self._number)
        ]
        # A terminal sends its signals to all processes, but the ingester alone is to end by them: it ends the others.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))  # they inherit it
        try:
            started = [pool.submit(_nothing) for pool in pools]
            for pool in pools:
                # Else nobody would notice that a process is killed while it writes an answer.
                pool._result_queue._writer.close()  # type: ignore[attr-defined]  # noqa: SLF001
                _widen(pool._result_queue._reader.fileno())  # type: ignore[attr-defined]  # noqa: SLF001
                _widen(pool._call_queue._writer.fileno())  # type: ignore[attr-defined]  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - where no process can be started, the ingester does the work
            with self._lock:
                self._pools = pools
            self._ended(str(error))
            return
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        with self._lock:
            self._pools, self._started = pools, started

    def _ended(self, reason: str) -> None:
        _log.warning("ingest.works_alone", reason=reason, seconds=_BETWEEN_STARTS_S)
        self._not_before = monotonic() + _BETWEEN_STARTS_S
        self.stop()


def _widen(pipe: int) -> None:
    with suppress(AttributeError, OSError):  # Linux alone knows it, and the system may be short of it
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _joined(answers: Sequence[Answer]) -> Answer:
    """Return the answers to the shares of one micro-batch as one, None of which may be missing."""
    rows: list[bytes] = []
    counts: dict[tuple[str, int], IntakeCounts] = {}
    put_aside: list[PutAside] = []
    for answer in answers:
        if answer.decided is None:
            return answer
        rows.append(answer.decided.rows)
        add_counts(counts, answer.decided.counts)
        put_aside += answer.decided.put_aside
    return Answer(
        Decided(b"".join(rows), counts, put_aside),
        cached=sum(answer.cached for answer in answers),
        hits=sum(answer.hits for answer in answers),
        misses=sum(answer.misses for answer in answers),
    )


class _Work:
    """What the other process keeps between two micro-batches."""

    def __init__(self, store: EventStore, rules: Rules) -> None:
        self._codec = event_codec()
        self._tolerance = rules.future_tolerance
        cache = AggregateCache(rules.cache_max_essays)
        self._ahead = DecideAhead(store, cache, notes_progress=rules.notes_progress)
        self._round = -1
        self._collector = GcPacer()
        self._collector.start()

    def decide(self, round_: int, number: int, recorded: int, records: Sequence[Raw]) -> Answer:
        """Return what `records` make their aggregates record, as the micro-batch `number` of a round.

        A new round voids what was not recorded; in this one all up to the number `recorded` are.
        """
        if round_ != self._round:
            self._ahead.forget()
            self._round = round_
        cache = self._ahead.cache
        cache.hits = cache.misses = 0
        try:
            intakes = translated(records, future_tolerance=self._tolerance)
            taken = self._ahead.decide(intakes, number=number, recorded=recorded)
            rows = self._codec.rows_of(taken.events)
        except Exception as error:  # noqa: BLE001 - the ingester does it again by itself, and handles the fault
            self._round = -1
            return Answer(None, "" if isinstance(error, UnstorableError) else type(error).__name__)
        self._collector.after(len(records))
        return Answer(
            Decided(rows, taken.counts, taken.put_aside()), "", len(cache), cache.hits, cache.misses
        )


_work: _Work | None = None


def _begin(open_store: Callable[[], EventStore], rules: Rules) -> None:
    """Prepare this process, which ends with its ingester."""
    global _work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _work = _Work(open_store(), rules)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        with suppress(OSError):
            wait([parent.sentinel])
        os._exit(0)


def _nothing() -> None:
    """Return as soon as the process is prepared."""


def _decide(round_: int, number: int, recorded: int, records: Sequence[Raw]) -> Answer:
    if _work is None:
        raise RuntimeError("The process is not prepared.")
    return _work.decide(round_, number, recorded, records)
