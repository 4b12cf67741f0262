"""What operators look at: dead letters, health, metrics, documentation."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from domain.dead_letters import DeadLetter, MessageDeadLettered, Reason, dead_letter_stream_id
from infrastructure.local.processes import free_port
from tests.support.given import caused_by, minute
from tests.support.http import GATEWAY, OPERATORS, Api, api
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain
from tests.support.rest_contract import check_body

BASE = "/internal/v1/ops/dead-letters"
RAW = bytes(range(256))


def letter(offset: int, reason: Reason, *, value: bytes | None = RAW) -> MessageDeadLettered:
    """Return a message put aside, with bytes that are no text anywhere."""
    aside = DeadLetter(dead_letter_stream_id("upstream", 0, offset, 0))
    aside.record(
        reason=reason,
        detail=f"letter {offset}\0",
        key=b64encode(b"\xff\x00").decode(),
        value=None if value is None else b64encode(value).decode(),
        headers=(("event_id", b64encode(RAW).decode()), ("event_id", "")),
        happened_at=minute(offset),
        causation=caused_by(offset),
    )
    [event] = aside.collect_events()
    assert isinstance(event, MessageDeadLettered)
    return event


@pytest.fixture(scope="module")
def client(postgres_server: PostgresServerUnderTest) -> Iterator[Api]:
    """The API with five dead letters: notification ids 1 to 5."""
    with fresh_database(postgres_server.url) as url:
        reasons = [
            Reason.NOT_JSON,
            Reason.NO_VALUE,
            Reason.NOT_JSON,
            Reason.CONTRACT_VIOLATION,
            Reason.NOT_JSON,
        ]
        Chain(url).project(
            letter(offset, reason, value=None if reason is Reason.NO_VALUE else RAW)
            for offset, reason in enumerate(reasons)
        )
        with api(url) as answering:
            yield answering


def letters(client: Api, query: str = "") -> Any:
    """Return a page of dead letters."""
    response = client.get(BASE + query, service=OPERATORS)
    assert response.status_code == 200
    return response.json()


def positions(page: Any) -> list[int]:
    """Return where the letters of a page lie in the log."""
    return [each["position"] for each in page["dead_letters"]]


def test_dead_letters_come_newest_first_in_pages_without_their_bytes(client: Api) -> None:
    first = letters(client, "?limit=2")
    second = letters(client, f"?limit=2&cursor={first['next_cursor']}")
    third = letters(client, f"?limit=2&cursor={second['next_cursor']}")

    assert [positions(page) for page in (first, second, third)] == [[5, 4], [3, 2], [1]]
    assert third["next_cursor"] is None
    assert first["dead_letters"][0] == {
        "position": 5,
        "stream_id": "dead-letter-upstream-0-4-0",
        "reason": "not_json",
        "detail": "letter 4\N{REPLACEMENT CHARACTER}",
        "topic": "upstream",
        "partition": 0,
        "offset": 4,
        "received_at": "2026-03-07T18:00:00Z",
        "state": "open",
        "attempts": 0,
        "changed_at": None,
        "changed_by": None,
        "note": None,
    }


def test_dead_letters_of_one_reason(client: Api) -> None:
    assert positions(letters(client, "?reason=not_json")) == [5, 3, 1]
    assert positions(letters(client, "?reason=parked")) == []
    assert client.get(BASE + "?reason=bad-luck", service=OPERATORS).status_code == 400


def test_a_dead_letter_has_its_bytes_as_they_came(client: Api) -> None:
    body = client.get(f"{BASE}/5", service=OPERATORS).json()

    assert (b64decode(body["key"]), b64decode(body["value"])) == (b"\xff\x00", RAW)
    assert [(name, b64decode(value)) for name, value in body["headers"]] == [
        ("event_id", RAW),
        ("event_id", b""),
    ]
    assert client.get(f"{BASE}/2", service=OPERATORS).json()["value"] is None


@pytest.mark.parametrize("position", ["6", "0", "-1", "five", "%00", "9" * 18, "9" * 40, "%D9%A5"])
def test_a_dead_letter_that_is_not_there_is_not_found(client: Api, position: str) -> None:
    response = client.get(f"{BASE}/{position}", service=OPERATORS)
    assert (response.status_code, response.json()["error"]) == (404, "Dead letter not found")


@pytest.mark.parametrize("path", [BASE, f"{BASE}/5"])
def test_only_operators_see_raw_messages(client: Api, path: str) -> None:
    for service in (GATEWAY, "bff-teacher-service"):
        response = client.get(path, service=service)
        assert (response.status_code, response.json()["title"]) == (403, "Forbidden")


# Health, metrics, documentation.


def test_a_healthy_api_says_so_in_upstreams_form(client: Api) -> None:
    response = client.send("GET", "/healthz")
    body = response.json()

    check_body("healthz", body)
    assert response.status_code == 200
    assert (body["status"], body["environment"], body["checks"]) == ("healthy", "test", {"database": True})
    assert client.send("GET", "/healthz/ready").json() == {
        "status": "ok",
        "checks": [{"name": "database", "status": "ok", "reason": ""}],
    }
    assert client.send("GET", "/healthz/live").json() == {"status": "alive"}


def test_an_api_without_its_database_lives_but_is_not_ready_and_tells_no_secrets() -> None:
    with api(f"postgresql://somebody:password@127.0.0.1:{free_port()}/none") as client:
        healthz = client.send("GET", "/healthz")
        ready = client.send("GET", "/healthz/ready")

        check_body("healthz", healthz.json())
        assert (healthz.status_code, healthz.json()["status"]) == (503, "unhealthy")
        assert healthz.json()["checks"] == {"database": False}
        assert (ready.status_code, ready.json()["status"]) == (503, "failed")
        for response in (healthz, ready):
            assert "The database does not answer" in response.text
            assert not any(word in response.text for word in ("somebody", "password", "127.0.0.1"))
        assert client.send("GET", "/healthz/live").status_code == 200


def test_metrics_count_requests_by_route_and_not_by_id(client: Api) -> None:
    client.get("/internal/v1/batches/some-batch/status")
    client.get("/internal/v1/nothing")
    response = client.send("GET", "/metrics")

    assert response.headers["Content-Type"].startswith("text/plain")
    counts = [
        line for line in response.text.splitlines() if line.startswith("ras_http_request_seconds_count")
    ]
    assert any(
        'route="/internal/v1/batches/{batch_id}/status"' in line and 'status="404"' in line for line in counts
    )
    assert any('route="none"' in line for line in counts)
    assert "some-batch" not in response.text


def test_an_odd_method_does_not_become_a_label(client: Api) -> None:
    client.request("BREW", "/healthz")
    text = client.send("GET", "/metrics").text
    assert 'method="other"' in text
    assert "BREW" not in text


def test_the_documentation_page_lists_every_address(client: Api) -> None:
    page = client.send("GET", "/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for path in client.send("GET", "/openapi.json").json()["paths"]:
        assert path in page.text
