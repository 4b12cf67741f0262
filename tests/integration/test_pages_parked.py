"""The page of parked messages says when draining them stops."""

from __future__ import annotations

from typing import Any

import pytest

from domain.batch import BatchAggregate, batch_stream_id
from tests.support.http import client_of
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.page_routes import pages_on, signed_in_by
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain, project_store


def test_draining_with_the_fault_still_there_says_so_and_changes_nothing(
    postgres_server: PostgresServerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_batch: BatchAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    script = small_batch("still broken")
    monkeypatch.setattr(BatchAggregate, "record_spellcheck", fail)
    with fresh_database(postgres_server.url) as url:
        Chain(url)
        with opened_store(url) as store:
            Ingestion(store).insist(intakes_of(messages_of(script)))
        project_store(url)
        with client_of(pages_on(url)) as client:
            answer = client.send(
                "POST",
                "/operator/parked",
                {**signed_in_by(), "Sec-Fetch-Site": "same-origin"},
                data={"stream_id": batch_stream_id(script.batch_id)},
            )
    assert answer.status_code == 200
    assert "Draining stopped: 7 messages still wait. KeyError at the message " in answer.text
