"""Waits for read models on behalf of many requests at once.

Requests that wait register here, and one task polls for all of them. It polls when the event store reports that the
log has grown (the NOTIFY that wakes followers), a moment later because rows come after events, then less and less
often, but every second at least: NOTIFY is a hint, and a rebuild switches sides without one. A poll is one statement
for the positions of all read models. When that of the batches has moved, or another request has registered, a second
statement names those of the awaited batches that have another edition now. Without waiting requests it does not poll.

Projections do not notify: a NOTIFY in their transactions would serialise their commits with the ingesters'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextlib import suppress
from typing import Final, TypeVar

import psycopg
import structlog

from application.queries import Edition
from infrastructure.eventstore.log import LogListener
from infrastructure.eventstore.positions import OF_READ_MODEL
from infrastructure.queries.read_model_queries import Ask

_log = structlog.get_logger(__name__)

_SOON_S: Final = 0.03
"""The pace of looks while something moves: thirty a second, however many wait."""
_LATEST_S: Final = 1.0
_SLOWER: Final = 1.5

_SIDES: Final = f"""
    SELECT m.name, m.generation, coalesce(p.position, 0) AS position
    FROM ras.read_models m {OF_READ_MODEL}
"""
_CHANGED: Final = """
    SELECT w.place FROM unnest(%(ids)s ::text[], %(generations)s ::bigint[], %(positions)s ::bigint[])
        WITH ORDINALITY AS w (batch_id, generation, position, place)
    LEFT JOIN ras_batch_results.batches b ON b.batch_id = w.batch_id AND b.user_id IS NOT NULL
    WHERE b.position IS DISTINCT FROM w.position OR w.generation IS DISTINCT FROM %(generation)s ::bigint
"""
_BATCHES: Final = "batch_results"

_K = TypeVar("_K", bound=Hashable)
_Waiters = dict[_K, set[asyncio.Future[None]]]
_Side = tuple[int, int]
"""Generation and position."""


class ReadModelWatch:
    """Waits for read models. Ends, and lets everybody go, when `stopping` is set."""

    def __init__(self, ask: Ask, listener: LogListener, stopping: asyncio.Event) -> None:
        self._ask = ask
        self._listener = listener
        self._stopping = stopping
        self._for_positions: _Waiters[tuple[str, int]] = {}
        self._for_editions: _Waiters[tuple[str, Edition]] = {}
        self._sides: dict[str, _Side] = {}
        self._joined = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def position(self, read_model: str) -> int:
        """Return the notification id up to which a read model knows events, 0 where there is none.

        Raises psycopg's errors when the database is unavailable.
        """
        return (await self._sides_now()).get(read_model, (0, 0))[1]

    async def until_reached(self, read_model: str, position: int, *, timeout_s: float) -> bool:
        """Return whether a read model has reached a notification id: as soon as it has, else when the time is over."""
        return await self._wait(self._for_positions, (read_model, position), timeout_s)

    async def until_changed(self, batch_id: str, edition: Edition, *, timeout_s: float) -> bool:
        """Return whether a batch has another edition: as soon as it has, else when the time is over."""
        return await self._wait(self._for_editions, (batch_id, edition), timeout_s)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, (*self._for_positions.values(), *self._for_editions.values())))

    async def close(self) -> None:
        """End. Returns when nothing runs any more."""
        self._stopping.set()
        self._let_go()
        self._listener.stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _wait(self, waiters: _Waiters[_K], wanted: _K, timeout_s: float) -> bool:
        if self._stopping.is_set():
            return False
        if not self._tasks:
            self._tasks += [
                asyncio.create_task(self._listener.run(), name="watch: listener"),
                asyncio.create_task(self._watch(), name="watch"),
                asyncio.create_task(self._leave(), name="watch: end"),
            ]
        waiter = asyncio.get_running_loop().create_future()
        waiters.setdefault(wanted, set()).add(waiter)
        self._joined.set()
        self._listener.wake()
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return False
        finally:
            among = waiters.get(wanted, set())
            among.discard(waiter)
            if not among:
                waiters.pop(wanted, None)
        return not self._stopping.is_set()

    async def _watch(self) -> None:
        pause_s = _SOON_S
        # Asked each time: `wait_for` can swallow a cancellation that comes together with what it waits for.
        while not self._stopping.is_set():
            if not self._for_positions and not self._for_editions:
                self._joined.clear()
                await self._joined.wait()
            growth = asyncio.ensure_future(
                self._listener.wait(pause_s)
            )  # begun before the look: none is missed
            try:
                moved = await self._look()
                woken = await growth
            except psycopg.Error as error:
                # Anyone who waits asks the database itself at the end, and says then that it is unavailable.
                _log.info("watch.waiting", error=type(error).__name__)
                moved = woken = False
                await asyncio.sleep(_LATEST_S)
            finally:
                growth.cancel()
            pause_s = _SOON_S if moved or woken else min(pause_s * _SLOWER, _LATEST_S)
            if woken:
                await asyncio.sleep(_SOON_S)

    async def _look(self) -> bool:
        """Let those go whose time has come. Returns whether a read model has moved."""
        is_joined = self._joined.is_set()
        self._joined.clear()
        sides = await self._sides_now()
        for read_model, position in list(self._for_positions):
            if sides.get(read_model, (0, 0))[1] >= position:
                _release(self._for_positions, (read_model, position))
        batches = sides.get(_BATCHES)
        if self._for_editions and (is_joined or batches != self._sides.get(_BATCHES)):
            await self._look_at_batches(None if batches is None else batches[0])
        moved, self._sides = sides != self._sides, sides
        return moved

    async def _sides_now(self) -> dict[str, _Side]:
        return {row["name"]: (row["generation"], row["position"]) for row in await self._ask(_SIDES, {})}

    async def _look_at_batches(self, generation: int | None) -> None:
        wanted = list(self._for_editions)
        parameters = {
            "ids": [batch_id for batch_id, _ in wanted],
            "generations": [edition.generation for _, edition in wanted],
            "positions": [edition.position for _, edition in wanted],
            "generation": generation,
        }
        for row in await self._ask(_CHANGED, parameters):
            _release(self._for_editions, wanted[row["place"] - 1])

    async def _leave(self) -> None:
        await self._stopping.wait()
        self._let_go()

    def _let_go(self) -> None:
        for key in list(self._for_positions):
            _release(self._for_positions, key)
        for batch in list(self._for_editions):
            _release(self._for_editions, batch)


def _release(waiters: _Waiters[_K], wanted: _K) -> None:
    for waiter in waiters.pop(wanted, ()):
        if not waiter.done():
            waiter.set_result(None)
