"""The live stream over real connections: what reaches whom, once, and how a client goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from infrastructure.live.messages import StreamId
from tests.support.live import (
    PLAIN_HTTP,
    TEACHER,
    Heard,
    Live,
    close_code,
    live_on,
    received,
    received_until,
)
from tests.support.people import token_for
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest

NOTIFICATIONS = {"batch_results_ready", "batch_assessment_completed"}


@pytest.fixture(scope="module")
def live(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """One installation for the module; each test has batches of its own."""
    with live_on(postgres_server, tmp_path_factory.mktemp("live"), streams_per_teacher="8") as running:
        yield running


def of_batch(messages: list[Heard], batch_id: str) -> list[str]:
    """Return the types of the notifications about a batch."""
    return [
        each["notification_type"]
        for each in messages
        if each.get("batch_id") == batch_id and each["notification_type"] in NOTIFICATIONS
    ]


def test_a_teacher_hears_of_a_batch_from_its_beginning_to_its_results(live: Live) -> None:
    def is_done(each: Heard) -> bool:
        wanted = ("batch_status_updated", batch_id, "completed_successfully")
        return (each["notification_type"], each.get("batch_id"), each.get("status")) == wanted

    with live.events() as ears:
        ears.until_kind("stream_ready")
        batch_id = live.batch("heard-of")
        ready = ears.until(
            lambda each: each["notification_type"] == "batch_results_ready" and each["batch_id"] == batch_id
        )
        # The list of batches and the inbox are read models of their own: either may be the first to know.
        state = next(filter(is_done, ears.heard), None) or ears.until(is_done)

    assert of_batch(ears.heard, batch_id).count("batch_results_ready") == 1
    assert (ready["category"], ready["priority"], ready["action_required"], ready["deadline"]) == (
        "processing_results",
        "high",
        False,
        None,
    )
    assert ready["overall_status"] == "completed_successfully"
    assert (state["total_essays"], state["completed_essays"], state["failed_essays"]) == (3, 3, 0)


def test_another_teacher_hears_nothing_of_it(live: Live) -> None:
    api = live.serve()
    with live.events("teacher-0099", api=api) as others, live.events(api=api) as ears:
        others.until_kind("stream_ready")
        ears.until_kind("stream_ready")
        batch_id = live.batch("not-yours")
        ears.until(lambda each: each.get("batch_id") == batch_id)
        api.terminate()
        assert {each["notification_type"] for each in others.rest()} == {"reconnect"}


def test_a_client_that_comes_back_gets_what_it_missed_once_from_any_process(live: Live) -> None:
    with live.events() as ears:
        start = ears.until_kind("stream_ready")["id"]
    missed = live.batch("missed")
    live.inbox()
    with live.events(last_id=start) as ears:
        ears.until_kind("stream_ready")
        first = list(ears.heard)
    other = live.serve()
    with live.events(api=other, last_id=start) as ears:
        ears.until_kind("stream_ready")
        again = list(ears.heard)
    with live.events(api=other, last_id=first[-1]["id"]) as ears:
        ears.until_kind("stream_ready")
        nothing = list(ears.heard)

    assert of_batch(first, missed) == of_batch(again, missed)
    assert sorted(of_batch(first, missed)) == sorted(NOTIFICATIONS)
    assert of_batch(nothing, missed) == []
    assert [each["status"] for each in first if each["notification_type"] == "batch_status_updated"]


@pytest.mark.parametrize("change", ["nonsense", "future", "generation", "fingerprint"])
def test_an_id_of_another_history_is_answered_by_a_resync_with_an_id_that_works(
    live: Live, change: str
) -> None:
    with live.events() as ears:
        known = StreamId.parse(ears.until_kind("stream_ready")["id"])
    assert known is not None
    epoch = known.epoch
    given = {
        "nonsense": "1 OR 1=1",
        "future": str(known._replace(epoch=epoch._replace(proven=10**9), inbox=10**9)),
        "generation": str(known._replace(epoch=epoch._replace(inbox_generation=77))),
        "fingerprint": str(known._replace(epoch=epoch._replace(fingerprint="0123456789ab"))),
    }[change]

    with live.events(last_id=given) as ears:
        answer = ears.next()
    assert answer is not None
    assert answer["notification_type"] == "resync"
    with live.events(last_id=answer["id"]) as ears:
        assert ears.until_kind("stream_ready")


def test_a_rebuild_makes_every_open_stream_load_everything_again(live: Live) -> None:
    with live.events() as ears:
        ears.until_kind("stream_ready")
        rebuild = live.ras.run("rebuild", "teacher_inbox")
        assert rebuild.exit_code == 0, rebuild.output
        ears.until_kind("resync")


def test_a_read_mark_shows_in_every_window(live: Live) -> None:
    batch_id = live.batch("read")
    notification_id = next(n["notification_id"] for n in live.inbox() if n["batch_id"] == batch_id)
    with live.events() as here, live.events() as there:
        here.until_kind("stream_ready")
        there.until_kind("stream_ready")
        httpx.post(
            f"{live.api.url}/internal/v1/teachers/{TEACHER}/notifications/{notification_id}/read",
            headers={"X-Internal-API-Key": "a-key-for-tests", "X-Service-ID": "api-gateway-service"},
            verify=PLAIN_HTTP,
        ).raise_for_status()
        for ears in (here, there):
            assert ears.until_kind("notification_read")["notification_id"] == notification_id


def test_upstreams_clients_read_flat_messages_from_the_websocket(live: Live) -> None:
    with live.socket() as socket:
        socket.send('{"type":"resume"}')
        assert received(socket)["notification_type"] == "stream_ready"
        batch_id = live.batch("flat")
        found = received_until(socket, "batch_results_ready")
    assert found[-1]["batch_id"] == batch_id
    assert found[-1]["timestamp"].endswith("Z")


def test_a_websocket_resumes_by_a_message(live: Live) -> None:
    with live.socket() as socket:
        socket.send('{"type":"resume"}')
        start = received(socket)["id"]
    missed = live.batch("missed-by-socket")
    live.inbox()
    with live.socket() as socket:
        socket.send(json.dumps({"type": "resume", "last_event_id": start}))
        found = received_until(socket, "stream_ready")
    assert of_batch(found, missed).count("batch_results_ready") == 1


def test_a_ticket_opens_one_stream_once_in_all_processes(live: Live) -> None:
    answer = httpx.post(
        f"{live.api.url}/v1/stream-tickets",
        headers={"Authorization": f"Bearer {token_for(TEACHER)}"},
        verify=PLAIN_HTTP,
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    query = f"/v1/notifications/stream?ticket={answer.json()['ticket']}"
    with httpx.stream("GET", live.api.url + query, verify=PLAIN_HTTP) as stream:
        assert stream.status_code == 200
    for process in (live.api, live.serve()):
        refused = httpx.get(process.url + query, verify=PLAIN_HTTP)
        assert refused.status_code == 401
        assert "used before" in refused.json()["detail"]


@pytest.mark.parametrize("token", ["x", "a.b.c", "x" * 9000, token_for(TEACHER, aud="elsewhere")])
def test_who_proves_nothing_gets_401_or_code_1008(live: Live, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{live.api.url}/v1/notifications/stream", headers=headers, verify=PLAIN_HTTP)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"

    address = live.api.url.replace("http://", "ws://")
    with connect(f"{address}/ws?token={token[:4000]}") as socket:
        assert close_code(socket) == 1008


@pytest.mark.parametrize(("frame", "code"), [(b"\0\1", 1003), ("not JSON", 1003), ("x" * 10_000_000, 1009)])
def test_a_frame_that_makes_no_sense_ends_its_own_socket_alone(
    live: Live, frame: str | bytes, code: int
) -> None:
    with live.socket() as other, live.socket() as socket:
        with suppress(ConnectionClosed):  # the server may close before all of it is sent
            socket.send(frame)
        # What is still on its way to a closed socket makes the kernel reset it, which may overtake the code.
        assert close_code(socket) in {code, 1006 if code == 1009 else code}
        other.send('{"type":"ping"}')
        assert json.loads(other.recv(timeout=20)) == {"type": "pong"}


def test_a_teacher_has_no_more_streams_than_the_setting_allows(live: Live) -> None:
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(live.events("teacher-0050")).until_kind("stream_ready")
        refused = httpx.get(
            f"{live.api.url}/v1/notifications/stream?token={token_for('teacher-0050')}", verify=PLAIN_HTTP
        )
        assert refused.status_code == 429
        with live.socket("teacher-0050") as socket:
            assert close_code(socket) == 4000
        with live.events() as ears:
            ears.until_kind("stream_ready")


def test_the_end_of_the_server_sends_every_client_away_with_a_hint(live: Live) -> None:
    api = live.serve()
    with live.events(api=api) as ears, live.socket(api=api) as socket:
        ears.until_kind("stream_ready")
        socket.send('{"type":"resume"}')
        assert received(socket)["notification_type"] == "stream_ready"
        assert api.terminate() == 0
        hints = [ears.until_kind("reconnect"), received_until(socket, "reconnect")[-1]]
        assert close_code(socket) == 1012
    assert all(1000 <= hint["after_ms"] <= 15_000 for hint in hints)


def test_no_token_or_ticket_is_in_the_logs(live: Live) -> None:
    debugging = live.ras.start("serve", **{**live.settings, "log_level": "debug"}).wait_until_ready()
    token = token_for(TEACHER)
    httpx.get(f"{debugging.url}/v1/notifications/stream?token={token[:-2]}xx", verify=PLAIN_HTTP)
    with connect(f"{debugging.url.replace('http', 'ws')}/ws?token={token}") as socket:
        socket.send('{"type":"resume"}')
        received(socket)
    debugging.terminate()

    assert token[:40] not in debugging.output
    assert base64.b64encode(token.encode()).decode() not in debugging.output


def test_a_stream_survives_the_loss_of_its_connection_to_the_database(live: Live) -> None:
    with live.events() as ears:
        ears.until_kind("stream_ready")
        with probe(live.ras.database_url) as database:
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        batch_id = live.batch("after-the-loss")
        ears.until(
            lambda each: each["notification_type"] == "batch_results_ready" and each["batch_id"] == batch_id
        )
    assert of_batch(ears.heard, batch_id).count("batch_results_ready") == 1
