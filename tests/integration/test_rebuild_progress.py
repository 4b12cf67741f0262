"""What `ras status` shows of a rebuild: how far it is, and whether anybody is at work on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infrastructure.eventstore.store import EventStore
from infrastructure.operations.progress import Progress, read_progress
from infrastructure.rebuild import filling
from infrastructure.rebuild.session import only_session
from infrastructure.settings import Servers
from projections.batch_results import batch_results
from tests.integration.test_rebuild import InterruptedAfter, InterruptionError
from tests.support.commands import ras
from tests.support.postgres_probe import PostgresProbe
from tests.support.rebuilding import Models, empty_models


@pytest.fixture
def models(
    store: EventStore, database: PostgresProbe, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Models]:
    """Read models of a store with some events, rebuilt in pages of seven."""
    monkeypatch.setattr(filling, "PAGE_EVENTS", 7)
    with empty_models(store_url, store, database) as empty:
        empty.record()
        empty.follow()
        yield empty


async def rebuilds(models: Models) -> list[Progress]:
    """Return the rows about rebuilds."""
    rows, _ = await read_progress(Servers(models.url, ""), "ras-publisher")
    return [row for row in rows if row.role == "rebuild"]


async def test_a_rebuild_is_shown_from_its_first_page_to_its_end(models: Models) -> None:
    assert await rebuilds(models) == []
    with pytest.raises(InterruptionError):
        models.rebuilding(InterruptedAfter(pages=2)).rebuild([batch_results])

    [waiting] = await rebuilds(models)
    assert (waiting.source, waiting.condition, waiting.head) == ("batch_results", "interrupted", models.head)
    assert waiting.position is not None
    assert 0 < waiting.position < models.head
    assert waiting.lag is not None
    assert 0 < waiting.lag <= models.head - waiting.position
    assert waiting.updated_at is not None
    with only_session(models.url):
        [at_work] = await rebuilds(models)
        assert at_work.condition == "filling"
    table = ras("status", database_url=models.url).output
    assert "interrupted" in table

    models.rebuilding().rebuild([batch_results])
    assert await rebuilds(models) == []
