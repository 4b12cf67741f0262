"""Clients of the live stream that do harm: each loses its own connection, and all others are served."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import httpx
import pytest
from websockets.sync.client import connect

from infrastructure.http.identity import Identity, roles_in
from infrastructure.http.sessions import COOKIE, session_cookie
from infrastructure.roles.sockets import close, listening
from tests.support.freezing_proxy import FreezingProxy
from tests.support.ingesting import messages_of, small_batch
from tests.support.live import PLAIN_HTTP, TEACHER, Live, close_code, live_on, received
from tests.support.people import SESSION_KEY, token_for
from tests.support.postgres_server import PostgresServerUnderTest
from tests.support.waiting import wait_until

CROWD: Final = 1_000
_FLOOD: Final = 150
_PORTAL: Final = "https://portal.example"


@pytest.fixture(scope="module")
def live(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """One installation that finds out about dead peers soon."""
    settings = {"stream_heartbeat_s": "1", "http_deadline_s": "5", "sign_in_origins": _PORTAL}
    with live_on(postgres_server, tmp_path_factory.mktemp("hostile"), **settings) as running:
        yield running


def streams_fall_to(live: Live, count: int) -> None:
    """Return when the API has so many streams."""
    wait_until(
        lambda: live.api.metric("ras_live_streams") == count,
        what=f"{count} streams are left",
        deadline_s=60,
        state=lambda: live.api.metric("ras_live_streams"),
    )


def deaf(live: Live, request: str) -> socket.socket:
    """Return a connection that has sent a request and never reads."""
    host, _, port = live.api.url.removeprefix("http://").partition(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((host, int(port)))
    made.sendall(request.replace("\n", "\r\n").encode())
    return made


def test_readers_that_never_read_are_disconnected_and_everybody_else_hears_all_once(live: Live) -> None:
    token = token_for(TEACHER)
    with ExitStack() as stack:
        ears = stack.enter_context(live.events())
        ears.until_kind("stream_ready")
        stack.enter_context(
            deaf(live, f"GET /v1/notifications/stream HTTP/1.1\nHost: x\nAuthorization: Bearer {token}\n\n")
        )
        upgrade = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: "
        slow = stack.enter_context(
            deaf(live, f"GET /ws?token={token} HTTP/1.1\nHost: x\n{upgrade}MDEyMzQ1Njc4OWFiY2RlZg==\n\n")
        )
        streams_fall_to(live, 3)
        scripts = [small_batch(f"flood-{number}", essays=1) for number in range(_FLOOD)]
        live.tell(messages_of(*scripts))
        # The WebSocket answers no ping, and is let go first. Linux drops what a client that is let go does not read.
        streams_fall_to(live, 2)
        slow.settimeout(60)
        tail = b""
        while data := slow.recv(65536):
            tail = (tail + data)[-200:]
        # Either it reads too slowly or it does not answer a ping: the heartbeat of this process is short.
        assert any(code.to_bytes(2, "big") in tail for code in (4008, 1011))
        last = {script.batch_id for script in scripts}
        ready: list[str] = []
        while last:
            heard = ears.until_kind("batch_results_ready")
            ready.append(heard["batch_id"])
            last.discard(heard["batch_id"])
        streams_fall_to(live, 1)

        assert len(ready) == len(set(ready)) == _FLOOD


def test_a_peer_that_is_gone_without_a_word_is_found_and_others_stay(live: Live) -> None:
    port = int(live.api.url.rpartition(":")[2])
    with FreezingProxy(port) as proxy, live.socket() as other:
        url = f"ws://127.0.0.1:{proxy.port}/ws?token={token_for(TEACHER)}"
        with connect(url, compression=None) as gone:
            gone.send('{"type":"resume"}')
            assert received(gone)["notification_type"] == "stream_ready"
            streams_fall_to(live, 2)
            proxy.freeze()
            streams_fall_to(live, 1)
        other.send('{"type":"ping"}')
        assert other.recv(timeout=30) == '{"type":"pong"}'


def test_what_a_peer_does_not_acknowledge_ends_its_connection_in_time() -> None:
    [bound] = listening("127.0.0.1", 0, port_setting="RAS_API_PORT")
    try:
        with socket.create_connection(bound.getsockname()) as client:
            accepted, _ = bound.accept()
            with accepted:
                unacknowledged_ms = accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert client.getpeername() == accepted.getsockname()
    finally:
        close([bound])

    assert 0 < unacknowledged_ms <= 25_000  # with a heartbeat of 20 s at most: within 45 s


def test_a_quiet_websocket_outlives_the_deadline_for_requests(live: Live) -> None:
    with live.socket() as quiet, live.socket("teacher-0099") as other:
        quiet.send('{"type":"resume"}')
        assert received(quiet)["notification_type"] == "stream_ready"
        host, _, port = live.api.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as late:
            late.sendall(b"GET / HTTP/1.1\r\n")
            assert late.recv(100).startswith(
                b"HTTP/1.1 408 "
            )  # its deadline, and so that of both sockets, is over
        for each in (quiet, other):
            each.send('{"type":"ping"}')
            assert each.recv(timeout=30) == '{"type":"pong"}'


@pytest.mark.parametrize("sent", [b"", b"GET /ws?token=x HTTP/1.1\r\nHost: x\r\nUpgrade: websock"])
def test_a_thousand_half_open_connections_keep_nobody_out(live: Live, sent: bytes) -> None:
    host, _, port = live.api.url.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(CROWD)
        ]
        for each in crowd:
            each.sendall(sent)
        with live.socket() as other:
            other.send('{"type":"resume"}')
            assert received(other)["notification_type"] == "stream_ready"
        for each in crowd:
            assert each.recv(4096).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("place", ["header", "address", "websocket", "form"])
def test_a_token_of_100_kb_is_refused_everywhere(live: Live, place: str) -> None:
    token = "x" * 100_000
    stream = f"{live.api.url}/v1/notifications/stream"
    if place == "websocket":
        request = f"GET /ws?token={token} HTTP/1.1\nHost: x\nUpgrade: websocket\nConnection: Upgrade\n\n"
        with deaf(live, request) as raw:
            assert raw.recv(12).startswith(b"HTTP/1.1 4")
        return
    answer = {
        "header": lambda: httpx.get(stream, headers={"Authorization": f"Bearer {token}"}, verify=PLAIN_HTTP),
        "address": lambda: httpx.get(f"{stream}?token={token[:60_000]}", verify=PLAIN_HTTP),
        "form": lambda: httpx.post(f"{live.api.url}/sign-in", data={"token": token}, verify=PLAIN_HTTP),
    }[place]()
    assert answer.status_code == {"header": 431, "address": 401, "form": 413}[place]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://elsewhere.example"}, 1008),
        ({"Origin": "null"}, 1008),
        ({"Sec-Fetch-Site": "cross-site"}, 1008),
        ({"Sec-Fetch-Site": "same-site"}, 1008),
        ({"Sec-Fetch-Site": "same-origin"}, None),
    ],
)
def test_a_page_from_elsewhere_cannot_use_a_session(
    live: Live, headers: dict[str, str], code: int | None
) -> None:
    identity = Identity(TEACHER, roles_in([]), 2**33)
    given = {**headers, "Cookie": f"{COOKIE}={session_cookie([SESSION_KEY], identity)}"}
    with connect(f"{live.api.url.replace('http', 'ws')}/ws", additional_headers=given) as opened:
        if code is None:
            opened.send('{"type":"ping"}')
            assert opened.recv(timeout=30) == '{"type":"pong"}'
        else:
            assert close_code(opened) == code
    if code is not None:
        ticket = httpx.post(f"{live.api.url}/v1/stream-tickets", headers=given, verify=PLAIN_HTTP)
        assert ticket.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": _PORTAL}, 303),
        ({"Origin": _PORTAL}, 303),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_a_known_portal_may_sign_somebody_in_from_another_site(
    live: Live, headers: dict[str, str], status: int
) -> None:
    answer = httpx.post(
        f"{live.api.url}/sign-in", data={"token": token_for(TEACHER)}, headers=headers, verify=PLAIN_HTTP
    )
    assert answer.status_code == status
    assert (COOKIE in answer.cookies) == (status == 303)


def test_a_session_ends_when_its_key_is_taken_away_and_outlives_a_rotation(live: Live) -> None:
    identity = Identity(TEACHER, roles_in([]), 2**33)
    cookie = {"Cookie": f"{COOKIE}={session_cookie([SESSION_KEY], identity)}"}
    new_key = "another-key-that-signs-sessions-and-tickets"
    for keys, status in ((f"{new_key},{SESSION_KEY}", 200), (new_key, 303)):
        api = live.ras.start("serve", **{**live.settings, "session_keys": keys}).wait_until_ready()
        assert httpx.get(f"{api.url}/batches", headers=cookie, verify=PLAIN_HTTP).status_code == status
        api.terminate()
