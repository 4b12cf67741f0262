"""The assessment app without its database, or without its read model: it says so and goes on."""

from __future__ import annotations

import pytest

from infrastructure.local.processes import free_port
from tests.support.assessing import PREFIX, app_on, assessors_on
from tests.support.http import client_of
from tests.support.judging import Job
from tests.support.postgres_probe import probe

PATHS = [f"{PREFIX}/164/detailed", f"{PREFIX}/164/detailed?cursor=1", f"{PREFIX}/b1/summary"]


@pytest.mark.parametrize("path", PATHS)
def test_without_a_database_there_is_a_503_problem(path: str) -> None:
    with client_of(app_on(f"postgresql://nobody@127.0.0.1:{free_port()}/none")) as api:
        answer = api.get(path)
        health = api.send("GET", "/healthz")

        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
        assert api.send("GET", "/healthz/live").status_code == 200


def test_a_read_model_that_is_not_there_is_named_and_what_makes_it(database_url: str) -> None:
    with assessors_on(database_url) as assessors, probe(database_url) as database:
        assessors.hear([Job().decides("e1", "e2")])
        database.execute("DROP SCHEMA ras_assessments CASCADE")
        database.execute("DELETE FROM ras.read_models WHERE name = 'assessments'")

        for path in PATHS:
            answer = assessors.api.get(path)
            assert answer.status_code == 503
            assert "run `ras rebuild assessments`" in answer.json()["detail"]
        ready = assessors.api.send("GET", "/healthz/ready").json()
        assert ready["status"] == "degraded"


def test_connections_that_died_while_they_lay_idle_cost_nobody_an_answer(database_url: str) -> None:
    with assessors_on(database_url, kept_bytes=0) as assessors, probe(database_url) as database:
        assessors.hear([Job().decides("e1", "e2")])
        before = [assessors.api.get(path).content for path in PATHS]
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

        assert [assessors.api.get(path).content for path in PATHS] == before
