"""The loop of every follower of the log: the publisher and each projection.

Theory of operation. A follower asks its sink for the position, reads the next stretch of the log, and
hands it over; the sink makes effects and position one transaction and fences it, so that a second
follower of the same name cannot do the same work twice. In a backlog the next stretch is read and
prepared while the sink waits for its server. Any fault leads back to the start: ask for the position
again, because after a fault it is the only thing that is certain. At an event that cannot be read, or whose effects
cannot be written, a follower waits: to go on behind it would lose it, and to end would take the other
followers along. Which event of a stretch cannot be written is found by halving the stretch.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any, Final, NamedTuple, NoReturn, Protocol

import psycopg
import structlog

from application.ports import StalePositionError
from domain.aggregate import DomainEvent
from infrastructure.eventstore.codec import UndecodableEventError
from infrastructure.eventstore.log import LogListener, NotificationLog
from infrastructure.eventstore.unwritable import UnwritableEventError
from infrastructure.gc_pacing import GcPacer
from infrastructure.postgres import faults
from infrastructure.resilience import Backoff, BreakerState, CircuitBreaker
from infrastructure.role_status import RoleStatus
from infrastructure.telemetry import RoleMetrics
from projections.recorded import Recorded

_log = structlog.get_logger(__name__)

_LAG_INTERVAL_S: Final = 1.0
_LONGEST_REASON: Final = 500


class TransientSinkError(Exception):
    """What the sink writes to is unavailable or its answer was lost: ask for the position and go on from there."""


class RefusedError(Exception):
    """What the sink was given can never be written: something in it is at fault, and nothing was written."""


class SinkNotReadyError(Exception):
    """The sink cannot take anything until an operator has done what the text says; it asks again by itself."""


class _TooManyError(Exception):
    """One of several events cannot be written: ask for fewer."""


class Sink(Protocol):
    """Where a follower's events go."""

    async def position(self) -> int:
        """Take ownership and return the notification id last handled, 0 at the beginning.

        Raises SinkNotReadyError, as `apply` does, when there is nothing to write to.
        """

    async def prepare(self, events: Sequence[Recorded]) -> Any:
        """Return what `apply` needs of `events`. Pure: it runs while the stretch before is being applied."""

    async def apply(self, prepared: Any, *, to: int) -> None:
        """Make the effects of what was prepared and move the position to `to`, or do neither.

        Raises StalePositionError when another owner moved it, TransientSinkError or psycopg.Error when
        nobody knows, RefusedError when an event among them cannot be written, now or later.
        """

    async def idle(self, position: int) -> None:
        """Do what is due while there is nothing to handle."""

    def complaint(self) -> str | None:
        """Return what an operator should look at although the sink goes on, None for nothing."""

    async def close(self) -> None:
        """Let go of connections."""


class _Ready(NamedTuple):
    """A stretch of the log, read and prepared: how many events, which is first, up to where, and whether there is more."""

    events: int
    first: DomainEvent | None
    prepared: Any
    reached: int
    is_full: bool


class Follower:
    """Moves a sink along the log until it is stopped."""

    def __init__(
        self,
        name: str,
        *,
        log: NotificationLog,
        listener: LogListener,
        sink: Sink,
        max_events: int,
        poll_interval_s: float,
        backoff: Backoff,
        breaker: CircuitBreaker,
        status: RoleStatus,
        metrics: RoleMetrics,
    ) -> None:
        self.name = name
        self.status = status
        self._source = log
        self._listener = listener
        self._sink = sink
        self._max_events = max_events
        self._limit = max_events
        self._poll_interval_s = poll_interval_s
        self._backoff = backoff
        self._breaker = breaker
        self._metrics = metrics
        self._stopping = asyncio.Event()
        self._collector = GcPacer()
        self._lag_measured_at = 0.0
        self._position: int | None = None
        metrics.watch(status)
        metrics.watch_breaker(name, breaker)

    def stop(self) -> None:
        """Ask the loop to end after the transaction at hand."""
        self._stopping.set()
        self._listener.wake()

    async def run_alone(self) -> None:
        """Follow until `stop` whatever happens: a fault of this follower is its own, and no end of the others.

        For followers that share a process. Each one fails, waits and recovers by itself.
        """
        while not self._stopping.is_set():
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001 - a fault of any kind, or the others would end with it
                _log.exception("follower.failed", follower=self.name)
                known = faults.fault_of(error) is not None
                reason = (
                    faults.sentence(error) if known else " ".join(str(error).split()) or type(error).__name__
                )
                self.status.degraded(f"{self.name} cannot go on, and tries again: {reason}"[:_LONGEST_REASON])
                await self._backoff.wait(self._stopping)

    async def run(self) -> None:
        """Follow until `stop`. What neither sink nor log calls transient, or a matter for an operator, ends the loop."""
        self._collector.start()
        try:
            while not self._stopping.is_set():
                try:
                    await self._follow(await self._beginning())
                except _TooManyError as error:
                    _log.info(
                        "follower.narrowing",
                        follower=self.name,
                        limit=self._limit,
                        detail=type(error.__cause__).__name__,
                    )
                except StalePositionError as error:
                    _log.info("follower.position_moved", follower=self.name, detail=str(error))
                    await self._listener.wait(self._poll_interval_s)
                except (SinkNotReadyError, UndecodableEventError, UnwritableEventError) as error:
                    await self._wait_for_operator(str(error))
                except (
                    TransientSinkError,
                    psycopg.OperationalError,
                    psycopg.InterfaceError,
                    psycopg.InternalError,
                ) as error:
                    await self._wait_out(error)
        finally:
            self._collector.stop()
            await self._sink.close()
            await self._source.close()
            self.status.stopped(f"{self.name} has stopped.")

    async def _beginning(self) -> int:
        self.status.waits_for("its position")
        position = await self._sink.position()
        self.status.waits_for("the database, to find the end of the log")
        end = await self._source.head()
        if end < position:
            raise SinkNotReadyError(
                f"The stored position {position} lies beyond the end of the event store ({end}): events are gone, or "
                "an older store was restored without it. docs/operations.md says what to do; a read model is made "
                "again by `ras rebuild`."
            )
        return position

    async def _follow(self, position: int) -> None:
        """Move the sink along from `position`; while it is at work on a stretch, the next is made ready."""
        ahead: asyncio.Task[_Ready] | None = None
        try:
            while not self._stopping.is_set():
                growth = asyncio.ensure_future(self._listener.wait(self._poll_interval_s))
                try:
                    with self.status.step():
                        ready = await (ahead or self._ready(position))
                        ahead = asyncio.create_task(self._ready(ready.reached)) if ready.is_full else None
                        await self._apply(ready)
                    position = ready.reached
                    if not ready.is_full:
                        await growth
                finally:
                    growth.cancel()
        finally:
            if ahead is not None:
                await asyncio.gather(ahead, return_exceptions=True)  # a connection is not left in mid-query

    async def _ready(self, after: int) -> _Ready:
        stretch = await self._source.read(after, self._limit)
        if stretch.reached < after:
            raise StalePositionError(
                f"The log ends at {stretch.reached}, before the position {after}: the store was restored."
            )
        first = stretch.events[0].event if stretch.events else None
        prepared: Any = None
        if stretch.events:
            try:
                prepared = await self._sink.prepare(stretch.events)
            except Exception as error:  # noqa: BLE001 - it is a function of the events: one of them is at fault
                self._narrow(
                    len(stretch.events), stretch.events[0].event, f"it leads to {type(error).__name__}", error
                )
        return _Ready(len(stretch.events), first, prepared, stretch.reached, stretch.is_full)

    def _narrow(self, events: int, first: DomainEvent, reason: str, error: Exception) -> NoReturn:
        """Ask for half as many events next time, until the one at fault is alone: that one is named."""
        if events == 1:
            raise UnwritableEventError(first, self.name, reason) from error
        self._limit = max(1, events // 2)
        raise _TooManyError from error

    async def _apply(self, ready: _Ready) -> None:
        if ready.events:
            started = perf_counter()
            try:
                await self._sink.apply(ready.prepared, to=ready.reached)
            except RefusedError as error:
                assert ready.first is not None
                self._narrow(ready.events, ready.first, str(error), error)
            self._limit = min(2 * self._limit, self._max_events)
            self._metrics.follower_seconds.labels(self.name).observe(perf_counter() - started)
            self._metrics.follower_events.labels(self.name).inc(ready.events)
            self.status.count(self.status.name, ready.events)
            self._metrics.follower_batch_size.labels(self.name).observe(ready.events)
            self._metrics.follower_delay.labels(self.name).observe(_age_s(_since(ready.first)))
            self._collector.after(ready.events)
        else:
            await self._sink.idle(ready.reached)
        self._position = ready.reached
        if ready.is_full:
            await self._measure_lag(ready.reached)
        else:
            self._show_lag(0, None)
        self._recovered()

    async def _measure_lag(self, position: int) -> None:
        """Say how far behind `position` is; counting costs, so it is done once a second at most."""
        if monotonic() - self._lag_measured_at < _LAG_INTERVAL_S:
            return
        since = None
        with contextlib.suppress(UndecodableEventError):  # how many there are is known all the same
            events = (await self._source.read(position, 1)).events
            since = _since(events[0].event if events else None)
        self._show_lag(await self._source.count_after(position), since)
        self._lag_measured_at = monotonic()

    async def _measure_lag_while_waiting(self) -> None:
        if self._position is not None:
            # Where it is the database that is unavailable, nobody can count.
            with contextlib.suppress(psycopg.Error):
                await self._measure_lag(self._position)

    def _show_lag(self, events: int, since: datetime | None) -> None:
        self.status.lag = events
        self._metrics.follower_lag.labels(self.name).set(events)
        self._metrics.follower_lag_seconds.labels(self.name).set(_age_s(since))

    def _recovered(self) -> None:
        self._backoff.reset()
        self._breaker.succeeded()
        complaint = self._sink.complaint()
        if complaint is None:
            self.status.well()
        elif complaint != self.status.reason:
            _log.warning("follower.complaint", follower=self.name, reason=complaint)
            self.status.degraded(complaint)

    async def _wait_for_operator(self, reason: str) -> None:
        if self.status.reason != reason:
            _log.warning("follower.not_ready", follower=self.name, reason=reason)
        self.status.degraded(reason)
        await self._measure_lag_while_waiting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_interval_s):
                await self._stopping.wait()

    async def _wait_out(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, TransientSinkError) else faults.sentence(error)
        if self._backoff.attempt == 0:
            _log.warning("follower.waiting", follower=self.name, reason=reason)
        self._breaker.failed()
        self._metrics.faults.labels(self.name).inc()
        is_open = self._breaker.state is BreakerState.OPEN
        self.status.degraded(f"{reason}{' (circuit breaker open)' if is_open else ''}")
        await self._measure_lag_while_waiting()
        await self._backoff.wait(self._stopping)
        while self._breaker.state is BreakerState.OPEN and not self._stopping.is_set():
            await self._backoff.wait(self._stopping)


def _since(event: DomainEvent | None) -> datetime | None:
    """When the message was received that caused the event."""
    return None if event is None else event.causation.received_at


def _age_s(since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())
