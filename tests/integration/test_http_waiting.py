"""Waiting over HTTP: for another version of an answer, and for a read model to come as far as the client is."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from application import topics
from application.deciding import Intake
from infrastructure.http.middleware import WAITED_S, MetricsMiddleware
from infrastructure.postgres.schema import initialise
from tests.support.given import assessed, registered, slot_assigned, spellchecked
from tests.support.http import API_KEY, OPERATORS, client_of
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import Installation
from tests.support.school import School, school_on
from tests.support.waiting import wait_until

HEADERS = {"X-Internal-API-Key": API_KEY, "X-Service-ID": OPERATORS}
_PLAIN_HTTP = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
LONG = "wait=500"
"""Longer than any test waits: anyone who is answered was answered for a reason."""


class Running:
    """`ras project` and `ras serve` at work, messages ingested by hand, and clients on threads."""

    def __init__(self, ras: Installation, database: PostgresProbe) -> None:
        self.ras = ras
        self.database = database
        self.projector = ras.start("project")
        self.api = ras.start("serve", longest_wait_s="600")
        self.threads = ThreadPoolExecutor(8)
        for role in (self.projector, self.api):
            role.wait_until_ready()

    def ingest(self, intakes: list[Intake]) -> int:
        """Take messages in; return where the log ends then."""
        with opened_store(self.ras.database_url) as store:
            Ingestion(store).insist(intakes)
        return int(self.database.value("SELECT max(notification_id) FROM ras.stored_events"))

    def ask(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """Return the answer, however long it takes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(
            method,
            f"{self.api.url}/internal/v1{path}",
            headers=HEADERS | given,
            timeout=60,
            verify=_PLAIN_HTTP,
        )

    def asking(self, path: str, **headers: str) -> Future[httpx.Response]:
        """Ask on a thread, and return when the API waits: it listens to the log for that."""
        asking = self.threads.submit(self.ask, path, **headers)
        wait_until(
            lambda: asking.done() or len(self.database.listening()) > 1,
            what="the API waits",
            state=self.database.listening,
        )
        return asking


@pytest.fixture
def running(postgres_server: PostgresServerUnderTest, tmp_path: Path) -> Iterator[Running]:
    """A database with its projector and its API."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with Installation(url, "", tmp_path) as ras, probe(url) as database:
            roles = Running(ras, database)
            try:
                yield roles
            finally:
                roles.threads.shutdown()


def story() -> tuple[str, list[Intake], list[Intake]]:
    """Return the id of a batch, what comes before its assessment, and the rest."""
    script = small_batch("waited-for")
    intakes = intakes_of(messages_of(script))
    judged = next(n for n, each in enumerate(intakes) if each.message.topic == topics.ASSESSMENT_RESULT)
    return script.batch_id, intakes[:judged], intakes[judged:]


def test_an_answer_is_held_back_until_there_is_another(running: Running) -> None:
    batch_id, first, last = story()
    position = running.ingest(first)
    path = f"/batches/{batch_id}/status"
    before = running.ask(f"{path}?after={position}")
    assert before.json()["overall_status"] == "processing"

    waiting = [
        running.asking(f"{path}?{LONG}", If_None_Match=before.headers["ETag"]),
        running.asking(path, If_None_Match=before.headers["ETag"], Prefer="wait=500"),
    ]
    assert running.ask(f"{path}?{LONG}").content == before.content
    assert running.ask(f"{path}?{LONG}", If_None_Match='"another"').content == before.content
    assert not any(each.done() for each in waiting)
    running.ingest(last)

    by_query, by_header = (each.result() for each in waiting)
    assert by_query.json()["overall_status"] == "completed_successfully"
    assert by_query.headers["ETag"] != before.headers["ETag"]
    assert "Preference-Applied" not in by_query.headers
    assert by_header.content == by_query.content
    assert by_header.headers["Preference-Applied"] == "wait=500"


def test_a_request_whose_client_has_gone_waits_no_longer(running: Running) -> None:
    batch_id, first, _ = story()
    position = running.ingest(first)
    path = f"/internal/v1/batches/{batch_id}/status"
    etag = running.ask(f"/batches/{batch_id}/status?after={position}").headers["ETag"]
    fields = "".join(f"{name}: {value}\r\n" for name, value in (HEADERS | {"If-None-Match": etag}).items())
    address = httpx.URL(running.api.url)
    clients = [socket.create_connection((address.host, address.port or 80)) for _ in range(50)]
    for client in clients:
        client.sendall(f"GET {path}?{LONG} HTTP/1.1\r\nHost: ras.test\r\n{fields}\r\n".encode())
    _wait_for_waiting(running, 50)

    for client in clients:
        client.close()

    _wait_for_waiting(running, 0)


def _wait_for_waiting(running: Running, requests: int) -> None:
    wait_until(
        lambda: running.api.metric("ras_http_waiting_requests") == requests,
        what=f"{requests} requests wait",
        state=lambda: running.api.metric("ras_http_waiting_requests"),
    )


def test_a_switch_to_another_side_ends_a_wait(running: Running) -> None:
    batch_id, first, _ = story()
    position = running.ingest(first)
    path = f"/batches/{batch_id}/status"
    before = running.ask(f"{path}?after={position}")

    waiting = running.asking(f"{path}?{LONG}", If_None_Match=before.headers["ETag"])
    running.database.execute("UPDATE ras.read_models SET generation = generation + 1")

    assert waiting.result().content == before.content
    assert waiting.result().headers["ETag"] != before.headers["ETag"]


def test_whoever_has_changed_something_reads_it(running: Running) -> None:
    batch_id, first, last = story()
    position = running.ingest([*first, *last])
    teacher = running.ask(f"/batches/{batch_id}/status?after={position}").json()["user_id"]
    inbox = f"/teachers/{teacher}/notifications"
    notes = running.ask(f"{inbox}?after={position}").json()["notifications"]
    assert [note["read_at"] for note in notes] == [None] * len(notes)
    assert notes

    read = running.ask(f"{inbox}/{notes[0]['notification_id']}/read", "POST")
    after = running.ask(f"{inbox}?after={read.headers['RAS-Position']}").json()["notifications"]

    assert read.status_code == 204
    assert after[0]["read_at"] is not None


def test_a_read_model_that_does_not_come_along_is_a_problem_that_says_how_far_it_is(running: Running) -> None:
    batch_id, first, last = story()
    reached = running.ingest(first)
    path = f"/batches/{batch_id}/status"
    assert running.ask(f"{path}?after={reached}").status_code == 200

    with running.projector.paused():
        position = running.ingest(last)
        behind = running.ask(f"{path}?after={position}&wait=0.05")
        waiting = running.asking(f"{path}?after={position}&{LONG}")

    problem = behind.json()
    assert (behind.status_code, problem["error"]) == (503, "Read model behind")
    assert (
        f"The read model batch_results is at position {reached}, not yet at {position}." in problem["detail"]
    )
    assert (behind.headers["Retry-After"], behind.headers["RAS-Position"]) == ("1", str(reached))
    assert behind.headers["Content-Type"] == "application/problem+json"
    assert waiting.result().json()["overall_status"] == "completed_successfully"


def test_the_end_of_the_api_lets_everybody_go(running: Running) -> None:
    batch_id, first, last = story()
    position = running.ingest(first)
    path = f"/batches/{batch_id}/status"
    before = running.ask(f"{path}?after={position}")
    waiting = running.asking(f"{path}?{LONG}", If_None_Match=before.headers["ETag"])
    with running.projector.paused():
        position = running.ingest(last)
        behind = running.threads.submit(running.ask, f"{path}?after={position}&{LONG}")
        wait_until(
            lambda: running.api.metric("ras_http_waiting_requests") == 2,
            what="both wait",
            state=lambda: running.api.metric("ras_http_waiting_requests"),
        )

        code = running.api.terminate()

    assert (code, waiting.result().status_code, behind.result().status_code) == (0, 304, 503)


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """An installation with a batch, on which a request waits no longer than a moment."""
    with fresh_database(postgres_server.url) as url, school_on(url, longest_wait_s=0.05) as here:
        here.hear("b1", registered("e1"), slot_assigned("e1"), spellchecked("e1"), assessed("e1"))
        yield here


STATUS = "/internal/v1/batches/b1/status"


def test_the_same_answer_is_304_when_the_time_is_over(school: School) -> None:
    etag = school.api.get(STATUS).headers["ETag"]
    for query in ("", "?wait=0", "?wait=0.01", "?wait=1e-2", "?wait=99999"):
        response = school.api.get(STATUS + query, If_None_Match=etag)
        assert (response.status_code, response.content, response.headers["ETag"]) == (304, b"", etag)
        assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize(
    ("given", "heeded"),
    [
        ("wait=0", "wait=0"),
        ("respond-async, Wait = 0; foo", "wait=0"),
        ("wait=100", "wait=0.05"),
        ("wait", None),
        ("wait=soon", None),
        ("wait=-1", None),
        ("return=minimal", None),
        ("", None),
    ],
)
def test_a_preference_is_heeded_where_it_is_one(school: School, given: str, heeded: str | None) -> None:
    etag = school.api.get(STATUS).headers["ETag"]
    response = school.api.get(STATUS, If_None_Match=etag, Prefer=given)
    assert (response.status_code, response.headers.get("Preference-Applied")) == (304, heeded)
    assert "Preference-Applied" not in school.api.get(STATUS, Prefer=given).headers


def test_waiting_is_no_time_of_answering() -> None:
    registry = CollectorRegistry()

    async def waited(scope: Scope, receive: Receive, send: Send) -> None:
        scope[WAITED_S] = 1000.0
        await Response()(scope, receive, send)

    with client_of(
        Starlette(routes=[Mount("/", app=MetricsMiddleware(waited, registry=registry))])
    ) as client:
        client.get("/")

    [seconds] = [
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "ras_http_request_seconds_sum"
    ]
    assert seconds < 0, "more was taken off than there was"


def test_an_answer_says_the_position_that_it_is_of(school: School) -> None:
    position = school.hear("b2", registered("e2"))[-1].notification_id
    assert school.api.get("/internal/v1/batches/b2/status").headers["RAS-Position"] == str(position)
    analysis = school.api.get("/internal/v1/essays/e2/aggregated-analysis")
    assert analysis.headers["RAS-Position"] == str(position)


@pytest.mark.parametrize(
    "path",
    [
        STATUS,
        "/internal/v1/batches/user/teacher-0007",
        "/internal/v1/essays/e1/aggregated-analysis",
        "/internal/v1/teachers/teacher-0007/notifications",
        "/internal/v1/ops/dead-letters",
        "/internal/v1/ops/dead-letters/1",
        "/internal/v1/ops/parked",
    ],
)
def test_every_answer_from_a_read_model_can_be_asked_for_as_of_a_position(school: School, path: str) -> None:
    ahead = school.api.get(f"{path}?after={10**17}", service=OPERATORS)
    assert (ahead.status_code, "nothing is recorded at position" in ahead.json()["detail"]) == (400, True)
    for query in ("after=x", "after=-1", "after=", f"after={'9' * 19}", "after=1&wait=x"):
        assert school.api.get(f"{path}?{query}", service=OPERATORS).status_code == 400


@pytest.mark.parametrize("query", ["wait=", "wait=-1", "wait=nan", "wait=inf", "wait=1e3", "wait=%D9%A5"])
def test_a_time_to_wait_that_is_none_is_refused(school: School, query: str) -> None:
    assert school.api.get(f"{STATUS}?{query}").status_code == 400


@pytest.mark.parametrize("query", ["wait=1", "after=1"])
def test_the_past_is_not_waited_for(school: School, query: str) -> None:
    response = school.api.get(f"{STATUS}?as_of=2026-03-08T00:00:00Z&{query}")
    body: Any = response.json()
    assert (response.status_code, "do not go with as_of" in body["detail"]) == (400, True)
