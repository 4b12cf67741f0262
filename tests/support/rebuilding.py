"""Read models to be rebuilt: events in the store, live tables that the real projector has filled."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from infrastructure.demo.stream import stream
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.store import EventStore
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.outcomes import Reporter, Silent
from infrastructure.rebuild.rebuild import Rebuilding
from projections.catalogue import PROJECTIONS
from projections.projection import Projection
from tests.application.event_store_contract import append
from tests.projections.test_cuts import LOG
from tests.support.following import at_work, crew, until
from tests.support.ingesting import Ingestion, intakes_of
from tests.support.postgres_probe import PostgresProbe
from tests.support.projecting import connected
from tests.support.read_models import Rows, everything

_seeds = count(100)
_OUR_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'ras\\_%%'"


@dataclass
class Models:
    """The read models of one database."""

    url: str
    store: EventStore
    database: PostgresProbe

    def record(self, batches: int = 4) -> None:
        """Record what comes of `batches` more batches, disorder, repeats and failures included."""
        scenario = stream(next(_seeds), batches, class_sizes=(1, 2, 8), failure_share=0.6, disorder=0.5)
        self.database.execute(
            "DELETE FROM ras.positions WHERE name LIKE 'intake/%%'"
        )  # other topics, so to speak
        Ingestion(self.store).insist(intakes_of(scenario))

    def record_everything(self) -> None:
        """Record a short log in which there is something for every projection."""
        append(self.store, [recorded.event for recorded in LOG])

    def follow(self, projections: Sequence[Projection] = PROJECTIONS, *, max_events: int = 50) -> None:
        """Let the real projector bring the live tables to the end of the log."""

        async def followed() -> None:
            async with crew(self.url, max_events=max_events) as members:
                followers = [members.follower(projection) for projection in projections]
                async with at_work(members, *followers):
                    await until(
                        lambda: self.lagging(projections) == {},
                        what="the projections are at the end of the log",
                        state=lambda: self.lagging(projections),
                    )

        asyncio.run(followed())

    def lagging(self, projections: Iterable[Projection] = PROJECTIONS) -> dict[str, int]:
        """Return the positions that are not at the end of the log."""
        positions = self.database.positions()
        standing = {p.name: positions.get(f"projection/{p.name}", 0) for p in projections}
        return {name: position for name, position in standing.items() if position != self.head}

    @property
    def head(self) -> int:
        """The last notification id."""
        return int(self.database.value("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events"))

    def rows(self) -> dict[str, Rows]:
        """Return every live row."""
        with connected(self.url) as connection:
            return everything(connection)

    def rebuilding(self, reporter: Reporter | None = None) -> Rebuilding:
        """Return a run as the command makes it."""
        return Rebuilding(self.url, event_codec(), reporter or Silent())

    def schemas(self) -> set[str]:
        """Return the schemas of read models, whichever side."""
        return {name for (name,) in self.database.rows(_OUR_SCHEMAS)}

    def states(self, name: str) -> list[str]:
        """Return the states of the rebuilds of one read model, oldest first."""
        rows = self.database.rows("SELECT state FROM ras.rebuilds WHERE name = %s ORDER BY id", name)
        return [state for (state,) in rows]

    def standing(self, name: str) -> dict[str, Any]:
        """Return what is known of the sides of a read model."""
        [(text,)] = self.database.rows("SELECT to_jsonb(m) FROM ras.read_models m WHERE name = %s", name)
        found: dict[str, Any] = text
        return found


@contextmanager
def empty_models(url: str, store: EventStore, database: PostgresProbe) -> Iterator[Models]:
    """Read models as after `ras init`, in a database whose store is empty."""
    models = Models(url, store, database)
    with connected(url) as connection:
        for schema in models.schemas():
            connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
        connection.exec_driver_sql(
            "TRUNCATE ras.rebuilds, ras.read_models, ras.stored_events RESTART IDENTITY"
        )
    initialise(url)
    yield models
