"""`ras status` on positions that lie beyond what there is."""

from __future__ import annotations

from infrastructure.eventstore.positions import projection_position
from infrastructure.eventstore.publisher_position import publisher_position
from infrastructure.eventstore.store import EventStore
from infrastructure.operations.progress import read_progress
from infrastructure.settings import Servers
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe


async def test_a_position_beyond_the_end_of_the_store_is_called_so(
    store: EventStore, database: PostgresProbe, store_url: str
) -> None:
    Ingestion(store).insist(intakes_of(messages_of(small_batch())))
    head = database.value("SELECT max(notification_id) FROM ras.stored_events")
    for name, position in (
        (publisher_position("publisher"), head + 150),
        (projection_position("batch_results"), head + 1),
        (projection_position("teacher_inbox"), head),
    ):
        database.execute("INSERT INTO ras.positions (name, position) VALUES (%s, %s)", name, position)

    rows, _ = await read_progress(Servers(store_url, ""), "publisher")

    shown = {row.source: (row.condition, row.lag) for row in rows}
    assert shown["publisher"] == shown["batch_results"] == ("ahead of the store", None)
    assert shown["teacher_inbox"] == (None, 0)
