"""A check of everything over HTTP: begun, looked at, cancelled, ended with the API; the API answers all the while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from application import topics
from infrastructure.check.check import _LOCK_KEY
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.local.processes import free_port
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from infrastructure.roles.query_api import query_app
from infrastructure.settings import Servers, Settings
from projections.catalogue import PROJECTIONS
from tests.support.http import API_KEY, OPERATORS, Api, api, client_of
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.waiting import wait_until

CHECK = "/internal/v1/ops/check"
BATCH = small_batch("checked")


@pytest.fixture
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """An installation that has taken a batch and a dead letter in."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store:
            ingestion = Ingestion(store)
            ingestion.insist(intakes_of(messages_of(BATCH)))
            ingestion.insist([dead_letter(topics.BATCH_PIPELINE_COMPLETED, partition=7)])
        Rebuilding(url, event_codec()).rebuild(PROJECTIONS)
        yield url


def begun(client: Api) -> str:
    """Begin a run and return where it is."""
    response = client.request("POST", CHECK, service=OPERATORS)
    assert response.status_code == 202, response.text
    assert response.json()["state"] == "running"
    return str(response.headers["Location"])


def run_at(client: Api, place: str) -> dict[str, Any]:
    """Return how a run stands."""
    response = client.get(place, service=OPERATORS)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def ended(client: Api, place: str) -> dict[str, Any]:
    """Return a run once it has ended."""
    wait_until(
        lambda: run_at(client, place)["state"] != "running",
        what="the check has ended",
        state=lambda: run_at(client, place),
    )
    return run_at(client, place)


@contextmanager
def held_up(url: str) -> Iterator[None]:
    """Keep every check waiting at its first look at the events."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE ras.stored_events IN ACCESS EXCLUSIVE MODE")
        yield


def wait_until_held(client: Api, place: str, database: PostgresProbe) -> None:
    """Return when a check waits for the events."""
    # The application's event loop turns while a request is answered.
    wait_until(
        lambda: run_at(client, place)["state"] == "running" and bool(database.waiting("relation")),
        what="the check waits",
        state=lambda: run_at(client, place),
    )


def wait_until_gone(database: PostgresProbe) -> None:
    """Return when nobody waits for the events, or holds the lock of checks, any more."""
    wait_until(
        lambda: (
            not database.waiting("relation")
            and not database.rows(
                "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND database ="
                " (SELECT oid FROM pg_database WHERE datname = current_database())",
                _LOCK_KEY,
            )
        ),
        what="the sessions of the check are gone",
    )


def test_everything_is_checked_although_an_incremental_check_has_nothing_to_do(url: str) -> None:
    with api(url) as client, probe(url) as database:
        assert client.get(CHECK, service=OPERATORS).json()["consistent"]
        database.execute("DELETE FROM ras_batch_results.essays WHERE batch_id = %s", BATCH.batch_id)
        assert client.get(CHECK, service=OPERATORS).json()["consistent"], "it is older than the last check"

        run = ended(client, begun(client))

        assert (run["state"], run["fault"]) == ("finished", None)
        assert run["ended_at"] >= run["started_at"]
        assert all(part["done"] == part["total"] for part in run["progress"])
        report = run["report"]
        assert (report["consistent"], report["since"]) == (False, 0)
        assert {finding["account"] for finding in report["findings"]} == {"read model batch_results.essays"}


def test_a_check_without_its_kafka_is_unavailable_and_names_the_reason(url: str) -> None:
    app = query_app(
        Servers(url, f"127.0.0.1:{free_port()}"),
        Settings(_env_file=None),
        SecretStr(API_KEY),
        registry=CollectorRegistry(auto_describe=True),
    )
    with client_of(app) as client:
        answer = client.get(CHECK, service=OPERATORS)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Kafka" in answer.json()["detail"]


def test_one_run_at_a_time_beside_which_queries_are_answered(url: str) -> None:
    with api(url) as client, probe(url) as database:
        with held_up(url):
            place = begun(client)
            wait_until_held(client, place, database)

            second = client.request("POST", CHECK, service=OPERATORS)
            assert (second.status_code, second.headers["Location"]) == (409, place)
            assert client.get(f"/internal/v1/batches/{BATCH.batch_id}/status").status_code == 200
            assert run_at(client, place)["report"] is None
        first = ended(client, place)
        assert first["report"]["consistent"]

        again = ended(client, begun(client))
        assert (again["state"], again["id"] != first["id"]) == ("finished", True)
        assert run_at(client, place) == first


def test_a_run_that_is_cancelled_leaves_nothing_behind(url: str) -> None:
    with api(url) as client, probe(url) as database, held_up(url):
        place = begun(client)
        wait_until_held(client, place, database)

        for _ in range(2):
            assert client.request("POST", f"{place}/cancel", service=OPERATORS).status_code == 204
        run = run_at(client, place)
        assert (run["state"], run["report"]) == ("cancelled", None)
        wait_until_gone(database)


def test_the_end_of_the_api_ends_a_run(url: str) -> None:
    with probe(url) as database, held_up(url):
        with api(url) as client:
            place = begun(client)
            wait_until_held(client, place, database)
        wait_until_gone(database)


def test_a_check_elsewhere_is_the_reason_that_is_given(url: str) -> None:
    with api(url) as client, probe(url) as database, database.holding(_LOCK_KEY):
        run = ended(client, begun(client))
        assert (run["state"], run["report"]) == ("failed", None)
        assert run["fault"] == "Another check is under way on this database; wait until it has ended."


def test_a_database_that_is_away_is_a_sentence_without_its_name() -> None:
    with api("postgresql://nobody@127.0.0.1:1/none") as client:
        run = ended(client, begun(client))
        assert (run["state"], "127.0.0.1" in run["fault"]) == ("failed", False)
        assert run["fault"].startswith("The database does not answer")


@pytest.mark.parametrize("method_and_path", [("GET", "/runs/none"), ("POST", "/runs/none/cancel")])
def test_a_run_that_nobody_began_is_not_found(url: str, method_and_path: tuple[str, str]) -> None:
    method, path = method_and_path
    with api(url) as client:
        response: httpx.Response = client.request(method, CHECK + path, service=OPERATORS)
        assert (response.status_code, response.json()["error"]) == (404, "Check run not found")


def test_a_process_that_ends_without_a_word_is_a_failed_run(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.check.background_runs.sys.executable", "false")
    with api(url) as client:
        run = ended(client, begun(client))
        assert (run["state"], run["fault"]) == ("failed", "The process of the check ended with exit code 1.")
