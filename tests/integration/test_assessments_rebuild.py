"""The assessment app while its read model is rebuilt: one side or the other, never something between."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from infrastructure.eventstore.store import EventStore
from projections.assessments import assessments
from tests.application.event_store_contract import append
from tests.support.assessing import PREFIX, app_on
from tests.support.http import API_KEY, client_of
from tests.support.judging import Job, round_robin
from tests.support.postgres_probe import PostgresProbe
from tests.support.rebuilding import Models, empty_models

ESSAYS = [f"essay-{number:02}" for number in range(1, 9)]
HEADERS = {"X-Internal-API-Key": API_KEY, "X-Service-ID": "result_aggregator_service"}
PATHS = [f"{PREFIX}/164/detailed", f"{PREFIX}/b1/summary"]


@pytest.fixture
def models(store: EventStore, database: PostgresProbe, store_url: str) -> Iterator[Models]:
    """A job in the event store and in the live read model."""
    job = Job()
    with empty_models(store_url, store, database) as judged:
        append(store, [*round_robin(job, ESSAYS, ["teacher-0007", "teacher-0008"]), job.ends(*ESSAYS)])
        judged.follow([assessments])
        yield judged


def test_a_kept_answer_does_not_outlive_the_side_that_it_came_from(models: Models) -> None:
    with client_of(app_on(models.url)) as api:
        before = [api.get(path) for path in PATHS]
        models.rebuilding().rebuild([assessments])
        after = [api.get(path) for path in PATHS]

        assert [answer.content for answer in after] == [answer.content for answer in before]
        assert not {a.headers["ETag"] for a in after} & {b.headers["ETag"] for b in before}


def test_every_answer_during_rebuilds_is_whole(models: Models) -> None:
    generation = models.standing("assessments")["generation"]
    with client_of(app_on(models.url, kept_bytes=0)) as api:
        expected = [api.get(path).content for path in PATHS]
        rebuilds = threading.Thread(
            target=lambda: [models.rebuilding().rebuild([assessments]) for _ in range(3)]
        )
        rebuilds.start()
        while rebuilds.is_alive():
            answers = api.send_together([("GET", path, HEADERS) for path in PATHS])
            assert [answer.content for answer in answers] == expected
        rebuilds.join()

    assert models.standing("assessments")["generation"] == generation + 3
