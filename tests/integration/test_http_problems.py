"""What is not an answer is a problem: RFC 9457, with upstream's word for it and a correlation id."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest
from structlog.testing import capture_logs

from infrastructure.local.processes import free_port
from tests.support.http import OPERATORS, Api, api
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain
from tests.support.rest_contract import check_error

MINE = "/internal/v1/batches/user/teacher-0007"
MEMBERS = {"type", "title", "status", "detail", "instance", "correlation_id", "error"}


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """An initialised database."""
    with fresh_database(postgres_server.url) as fresh:
        Chain(fresh)
        yield fresh


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[Api]:
    """The API on it."""
    with api(url) as answering:
        yield answering


def check_problem(response: httpx.Response, status: int) -> None:
    """Check the form of a problem."""
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body.keys() == MEMBERS
    assert (body["status"], body["instance"]) == (status, response.request.url.path)
    assert body["correlation_id"] == response.headers["X-Correlation-ID"]
    assert body["title"]
    assert body["detail"]


def test_an_unknown_address_is_a_problem(client: Api) -> None:
    for path in ("/internal/v1/nothing", "/nothing", "/internal/v1/batches/a/b/status", "/nothing/"):
        check_problem(client.get(path), 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_method_that_an_address_does_not_take_is_a_problem_that_names_those_it_takes(
    client: Api, method: str
) -> None:
    response = client.request(method, MINE)
    check_problem(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_an_address_that_is_written_out_does_not_take_what_an_id_in_its_place_takes(client: Api) -> None:
    for name, allowed in (("retry", "OPTIONS, POST"), ("17", "GET, HEAD, OPTIONS")):
        answer = client.request("OPTIONS", f"/internal/v1/ops/dead-letters/{name}", service=OPERATORS)
        assert (answer.status_code, answer.headers["Allow"]) == (204, allowed)


# Correlation ids.


@pytest.mark.parametrize("given", ["5f1d2c3b-0000-4000-8000-00000000abcd", "click 17", "x" * 128])
def test_a_clients_correlation_id_comes_back(client: Api, given: str) -> None:
    assert client.get(MINE, X_Correlation_ID=given).headers["X-Correlation-ID"] == given
    assert client.get("/nothing", X_Correlation_ID=given).json()["correlation_id"] == given


@pytest.mark.parametrize("given", [b"", b"x" * 129, "ä".encode(), b"a\tb", b"\xff"])
def test_an_unusable_correlation_id_is_replaced_by_a_new_one(client: Api, given: bytes) -> None:
    new = client.send("GET", "/healthz/live", [(b"X-Correlation-ID", given)]).headers["X-Correlation-ID"]
    assert str(UUID(new)) == new


def test_each_request_without_correlation_id_gets_its_own(client: Api) -> None:
    assert len({client.get(MINE).headers["X-Correlation-ID"] for _ in range(3)}) == 3


# Faults.


def test_an_unreachable_database_is_a_problem_to_try_again_later() -> None:
    with api(f"postgresql://nobody@127.0.0.1:{free_port()}/none") as client:
        for path in (MINE, "/internal/v1/batches/b1/status", "/internal/v1/teachers/t/notifications"):
            response = client.get(path)
            check_problem(response, 503)
            assert int(response.headers["Retry-After"]) > 0
            check_error(response.json())


def test_sessions_that_died_while_idle_are_replaced_unseen(client: Api, url: str) -> None:
    assert client.get(MINE).status_code == 200
    with probe(url) as database:
        sessions = [
            pid
            for (pid,) in database.rows(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        ]
        assert sessions
        for pid in sessions:
            database.terminate(pid)

    assert client.get(MINE).status_code == 200


def test_a_query_that_takes_too_long_is_given_up(client: Api, url: str) -> None:
    with probe(url) as database:
        database.execute("BEGIN")
        database.execute("LOCK TABLE ras_batch_results.batches IN ACCESS EXCLUSIVE MODE")
        response = client.get(MINE)
        database.execute("ROLLBACK")

    check_problem(response, 503)
    assert client.get(MINE).status_code == 200


def test_a_fault_of_ours_tells_its_correlation_id_and_nothing_else(
    client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("infrastructure.queries.batches.PostgresQueries.batches_of", broken)
    with capture_logs() as logs:
        response = client.get(MINE, X_Correlation_ID="fault-1")

    check_problem(response, 500)
    check_error(response.json())
    assert "secret" not in response.text
    assert response.headers["X-Correlation-ID"] == "fault-1"
    [entry] = logs
    assert (entry["event"], entry["correlation_id"]) == ("http.fault", "fault-1")
