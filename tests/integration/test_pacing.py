"""Pacing of anyone who sends to the embedded broker, against positions as the ingester writes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from application.intake_positions import intake_position
from application.topics import SPELLCHECK_RESULTS
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.local import pacing
from infrastructure.local.pacing import UNREAD_BYTES, NotTakenInError, Pace
from tests.support.postgres_probe import PostgresProbe

_PLACE = (SPELLCHECK_RESULTS, 1)
_THIRD = UNREAD_BYTES // 3 - 200


@asynccontextmanager
async def paced(url: str, backlog: dict[tuple[str, int], int]) -> AsyncIterator[Pace]:
    """Lend a pace."""
    positions = PositionCopy(url, "")
    try:
        yield Pace(positions, backlog)
    finally:
        await positions.close()


def move(database: PostgresProbe, offset: int) -> None:
    """Take in up to `offset`."""
    database.execute(
        "INSERT INTO ras.positions (name, position) VALUES (%s, %s)"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        intake_position(*_PLACE),
        offset,
    )


@pytest.mark.usefixtures("store")
async def test_what_is_unread_stays_within_the_bound(store_url: str, database: PostgresProbe) -> None:
    async with paced(store_url, {}) as pace:
        for offset in range(3):
            await pace.make_room(_PLACE, _THIRD)
            pace.sent(_PLACE, offset, _THIRD)
        await pace.make_room((SPELLCHECK_RESULTS, 2), _THIRD)  # another partition has room of its own
        waiting = asyncio.create_task(pace.make_room(_PLACE, _THIRD))
        assert not (await asyncio.wait({waiting}, timeout=0.3))[0]
        await asyncio.to_thread(move, database, 0)
        async with asyncio.timeout(20):
            await waiting

        large = asyncio.create_task(pace.make_room(_PLACE, 2 * UNREAD_BYTES))
        pace.sent(_PLACE, 3, _THIRD)
        await asyncio.to_thread(move, database, 2)
        assert not (await asyncio.wait({large}, timeout=0.3))[0]
        await asyncio.to_thread(move, database, 3)
        async with asyncio.timeout(20):
            await large


@pytest.mark.usefixtures("store")
async def test_what_lay_there_before_is_waited_for(store_url: str, database: PostgresProbe) -> None:
    async with paced(store_url, {_PLACE: 8}) as pace:
        waiting = asyncio.create_task(pace.make_room(_PLACE, 10))
        await asyncio.to_thread(move, database, 7)
        assert not (await asyncio.wait({waiting}, timeout=0.3))[0]
        await asyncio.to_thread(move, database, 8)
        async with asyncio.timeout(20):
            await waiting


@pytest.mark.usefixtures("store")
async def test_an_ingester_that_does_not_go_on_is_named(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "_STANDSTILL_S", 0.2)

    async def send() -> None:
        async with paced(store_url, {_PLACE: 8}) as pace:
            await pace.make_room(_PLACE, 10)

    with pytest.raises(NotTakenInError, match=f"nothing of {SPELLCHECK_RESULTS}, partition 1"):
        await send()
