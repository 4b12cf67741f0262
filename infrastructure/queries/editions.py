"""Asks for the editions of batches: of all that are wanted at a time at once.

Front ends poll, and of most batches nothing but the edition is asked. What is asked while a question is on its way
joins the next one, so that many requests cost little more than one, and each gets an answer from after it asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from application.queries import Edition
from infrastructure.queries.read_model_queries import Rows

GENERATION: Final = "(SELECT generation FROM ras.read_models WHERE name = 'batch_results')"
_EDITIONS: Final = f"""
    SELECT batch_id, {GENERATION} AS generation, position FROM ras_batch_results.batches
    WHERE batch_id = ANY (ARRAY(SELECT unnest(%(batch_ids)s ::text[]))) AND user_id IS NOT NULL
"""
"""An array whose length PostgreSQL does not know: else it plans for each length anew, at twice the cost of the answer."""

_Round = asyncio.Task[Mapping[str, Edition]]


class Editions:
    """One question at a time. `ask` runs a statement; what it raises, everybody gets who waits for it."""

    def __init__(self, ask: Callable[..., Awaitable[Rows]]) -> None:
        self._ask = ask
        self._wanted: list[str] = []
        self._next: _Round | None = None
        self._under_way: _Round | None = None

    async def of(self, batch_id: str) -> Edition | None:
        """Return the edition of a batch, None if it is not known."""
        if self._next is None:
            self._next = asyncio.create_task(self._round(self._under_way))
        self._wanted.append(batch_id)
        # Who goes away takes nobody along.
        return (await asyncio.shield(self._next)).get(batch_id)

    async def _round(self, before: _Round | None) -> Mapping[str, Edition]:
        if before is not None and not before.done():
            await asyncio.wait((before,))
        wanted, self._wanted = self._wanted, []
        self._under_way, self._next = self._next, None
        rows = await self._ask(_EDITIONS, batch_ids=wanted)
        return {row["batch_id"]: Edition(row["generation"], row["position"]) for row in rows}
