"""Clients that come back, answered together: after a cut thousands ask within a second, each for the same few tables."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from infrastructure.live.feed import Missed, Resume

_TOGETHER: Final = 50


class Resumes:
    """Collects who asks while earlier ones are answered. `ask` answers many, in their order."""

    def __init__(self, ask: Callable[[Sequence[Resume]], Awaitable[Sequence[Missed]]]) -> None:
        self._ask = ask
        self._waiting: list[tuple[Resume, asyncio.Future[Missed]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def missed(self, resume: Resume) -> Missed:
        """Return what a client missed. Raises what `ask` raises: psycopg's errors."""
        answer: asyncio.Future[Missed] = asyncio.get_running_loop().create_future()
        self._waiting.append((resume, answer))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer(), name="live: resumes")
        return await answer

    async def close(self) -> None:
        """Leave those who wait without an answer."""
        waiting, self._waiting = self._waiting, []
        for _, answer in waiting:
            answer.cancel()
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)

    async def _answer(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            some = [each for each in some if not each[1].done()]  # a client that has gone has cancelled it
            try:
                found = await self._ask([resume for resume, _ in some])
            except Exception as error:  # noqa: BLE001 - raised again where each of them waits
                for _, answer in some:
                    if not answer.done():
                        answer.set_exception(error)
            else:
                for (_, answer), missed in zip(some, found, strict=True):
                    if not answer.done():
                        answer.set_result(missed)
            finally:
                for _, answer in some:
                    answer.cancel()  # those who have no answer: this was ended on the way
