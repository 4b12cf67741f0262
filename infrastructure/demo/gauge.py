"""Measures how far the stream has come through RAS, in the database, twenty times per second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from domain.batch_events import NOTIFIED_EVENTS, BatchProgressed
from infrastructure.eventstore.positions import position_of, projection_position
from infrastructure.postgres.connections import connect
from projections.batch_results import batch_results
from projections.catalogue import PROJECTIONS

STALLED_AFTER_S: Final = 20.0
_INTERVAL_S: Final = 0.05
_TOLD: Final = sql.SQL(", ").join(sql.Literal(event.topic) for event in NOTIFIED_EVENTS)
_STAGES: Final = sql.SQL(
    """
    SELECT (SELECT coalesce(sum(taken_in), 0)::bigint FROM ras.intake_counts),
           (SELECT coalesce(max(notification_id), 0) FROM ras.stored_events),
           (SELECT coalesce(sum(CASE topic WHEN {progressed} THEN 1 ELSE 2 END), 0)::bigint
            FROM ras.stored_events WHERE topic IN ({told})),
           coalesce({projected}, 0)
    """
).format(
    told=_TOLD,
    progressed=sql.Literal(BatchProgressed.topic),
    projected=sql.SQL(position_of("{}")).format(sql.Literal(projection_position(batch_results.name))),
)
_BEHIND: Final = f"""
    SELECT coalesce((SELECT max(notification_id) FROM ras.stored_events WHERE topic = ANY(%s)), 0)
         > coalesce({position_of("%s")}, 0)
"""


class StalledError(Exception):
    """The stream has stopped on its way; the text says where."""


@dataclass(frozen=True, slots=True)
class Stages:
    """Counts so far: messages sent and ingested, records due by the events stored, records heard.

    `head` and `projected` are notification ids: the end of the event store, and how far of it the read
    model of batches shows.
    """

    sent: int = 0
    taken_in: int = 0
    head: int = 0
    due: int = 0
    heard: int = 0
    projected: int = 0


class Gauge:
    """Keeps `stages` up to date while `run` runs, and lets others wait for a stage."""

    def __init__(
        self,
        database_url: str,
        *,
        sent: Callable[[], int],
        heard: Callable[[], int],
        on_reading: Callable[[Stages], None],
    ) -> None:
        self._database_url = database_url
        self._sent = sent
        self._heard = heard
        self._on_reading = on_reading
        self._read = asyncio.Condition()
        self._moved_at = monotonic()
        self.stages = Stages()

    async def run(self) -> None:
        """Read until cancelled."""
        async with await connect(self._database_url) as connection:
            while True:
                found = await _row(connection, _STAGES, ())
                stages = Stages(
                    sent=self._sent(),
                    taken_in=found[0],
                    head=found[1],
                    due=found[2],
                    heard=self._heard(),
                    projected=found[3],
                )
                if stages != self.stages:
                    self.stages, self._moved_at = stages, monotonic()
                    self._on_reading(stages)
                async with self._read:
                    self._read.notify_all()
                await asyncio.sleep(_INTERVAL_S)

    async def until(self, reached: Callable[[Stages], bool]) -> None:
        """Wait for a stage. Raises StalledError when nothing at all has moved for STALLED_AFTER_S."""
        async with self._read:
            while not reached(self.stages):
                self._check_motion()
                await self._read.wait()

    async def until_projected(self) -> None:
        """Wait until every read model holds what the store holds. Raises StalledError like `until`."""
        async with await connect(self._database_url) as connection:
            for projection in PROJECTIONS:
                asked = (list(projection.topics), projection_position(projection.name))
                while (await _row(connection, _BEHIND, asked))[0]:
                    self._check_motion()
                    await asyncio.sleep(_INTERVAL_S)

    def _check_motion(self) -> None:
        if monotonic() - self._moved_at > STALLED_AFTER_S:
            at = self.stages
            raise StalledError(
                f"Nothing has moved for {STALLED_AFTER_S:.0f} s: {at.sent} messages sent, {at.taken_in} taken "
                f"in; {at.heard} of {at.due} records that are due heard; "
                f"the read model of batches stands at {at.projected} of {at.head}."
            )


async def _row(connection: AsyncConnection[TupleRow], query: Any, parameters: tuple[Any, ...]) -> TupleRow:
    row = await (await connection.execute(query, parameters, prepare=True)).fetchone()
    assert row is not None
    return row
