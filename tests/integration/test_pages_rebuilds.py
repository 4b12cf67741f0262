"""The page of rebuilds says in the reader's language why one was abandoned; the rebuilds are really run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.outcomes import Silent
from projections.batch_results import batch_results
from projections.language_analyses import language_analyses
from tests.support.english_text import english_in
from tests.support.http import client_of
from tests.support.page_routes import pages_on, signed_in_by
from tests.support.postgres_probe import opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rebuilding import Models


class _Interrupted(Silent):
    """Ends a rebuild when its first events are in."""

    def page(self, events: int, reached: int) -> None:
        """End it."""
        raise KeyboardInterrupt


@pytest.fixture
def models(postgres_server: PostgresServerUnderTest) -> Iterator[Models]:
    """Read models at the end of a short log."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store, probe(url) as database:
            made = Models(url, store, database)
            made.record_everything()
            made.follow()
            yield made


def test_why_a_rebuild_was_abandoned_is_said_in_swedish(models: Models) -> None:
    models.database.execute(
        "UPDATE ras_batch_results.batches SET class_id = 'changed'"
        " WHERE batch_id = (SELECT min(batch_id) FROM ras_batch_results.batches)"
    )
    models.rebuilding().rebuild([batch_results])
    with pytest.raises(KeyboardInterrupt):
        models.rebuilding(_Interrupted()).rebuild([language_analyses])
    models.rebuilding().rebuild([replace(language_analyses, version=99)])
    with client_of(pages_on(models.url)) as client:
        page = client.send("GET", "/operator/checks", {**signed_in_by(), "Accept-Language": "sv"}).text
    assert "rader skiljer sig från dem som visas nu." in page
    assert "Den gällde version 1; den här utgåvan har version 99." in page
    assert page.count("Övergiven") == 2
    assert english_in(page) == []
