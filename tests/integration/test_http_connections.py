"""Connections that are held open for nothing: heads without end, requests that never arrive, too many of them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from infrastructure.roles.guarded_http import MOST_FIELDS, MOST_HEAD_BYTES, ConnectionLimits, guarded_http
from infrastructure.roles.http_server import EmbeddedServer
from infrastructure.roles.sockets import listening
from tests.support.waiting import wait_until

SHORT = ConnectionLimits(deadline_s=0.2, connections=3)
PATIENT = ConnectionLimits(deadline_s=60, connections=3)
LARGE = 64_000_000
"""Bytes of an answer that no system keeps in its buffers."""


class Server:
    """A real server on a thread, and raw connections to it."""

    def __init__(self, port: int, running: EmbeddedServer) -> None:
        self.port = port
        self.reached = 0
        self.leave = threading.Event()
        """Lets the application take leave of its WebSockets."""
        self._running = running

    @property
    def connections(self) -> int:
        """How many connections the server holds."""
        return len(self._running.server_state.connections)

    def stop(self) -> None:
        """Ask the server to end. Returns when it does not listen any more."""
        self._running.should_exit = True
        wait_until(self._refuses, what="the server does not listen any more", deadline_s=30)

    def _refuses(self) -> bool:
        try:
            self.connect().close()
        except ConnectionError:
            return True
        return False

    def connect(self) -> socket.socket:
        """Return a connection; reading from it does not wait for ever."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def answer(self, *pieces: bytes) -> bytes:
        """Send `pieces` and return all that comes until the server closes the connection."""
        with closing(self.connect()) as connection:
            for piece in pieces:
                try:
                    connection.sendall(piece)
                except ConnectionError:
                    break
            return to_the_end(connection)


def to_the_end(connection: socket.socket) -> bytes:
    """Return what still comes."""
    found = b""
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass  # closed with bytes of ours unread
    return found


@contextmanager
def serving(limits: ConnectionLimits) -> Iterator[Server]:
    """A server with `limits`."""

    async def hello(request: Request) -> Response:
        server.reached += 1
        return PlainTextResponse(f"{len(await request.body())} bytes")

    async def large(_request: Request) -> Response:
        return Response(b"x" * LARGE)

    async def farewell(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.to_thread(server.leave.wait)
        await websocket.send_text("goodbye")
        await websocket.close(4999)

    app = Starlette(
        routes=[
            Route("/", hello, methods=["GET", "POST"]),
            Route("/large", large),
            WebSocketRoute("/farewell", farewell),
        ]
    )
    [bound] = listening("127.0.0.1", 0, port_setting="RAS_API_PORT")
    running = EmbeddedServer(
        uvicorn.Config(
            app,
            log_config=None,
            http=guarded_http(limits),
            ws="websockets-sansio",
            timeout_graceful_shutdown=240,
        )
    )
    server = Server(bound.getsockname()[1], running)
    thread = threading.Thread(target=lambda: asyncio.run(running.answer([bound])))
    thread.start()
    try:
        wait_until(lambda: running.started, what="the server answers", deadline_s=30)
        yield server
    finally:
        server.leave.set()
        running.should_exit = running.force_exit = True
        thread.join(30)


def status_of(answer: bytes) -> int:
    """Return the status of the last response in `answer`."""
    return int(answer.rsplit(b"HTTP/1.1 ", 1)[1][:3])


def head(*fields: bytes, target: bytes = b"/") -> bytes:
    """Return a request's head without its empty line."""
    return b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: ras.test", *fields]) + b"\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [head(b"X-Long: " + b"x" * MOST_HEAD_BYTES) + b"\r\n"],
        [head(b"X-Endless: " + b"x" * 1000), *[b"x" * 10_000 for _ in range(200)]],
        [head(b"X-Endless: x")[:-2], *[b"x" * 10_000 for _ in range(200)]],
        [head(*(b"X-%d: 1" % number for number in range(MOST_FIELDS))) + b"\r\n"],
        [head(*(b"X-%d: %s" % (number, b"x" * 900) for number in range(90))) + b"\r\n"],
        [head(target=b"/" + b"x" * MOST_HEAD_BYTES) + b"\r\n"],
        [head(target=b"/?" + b"x" * 2_000_000)],
    ],
    ids=[
        "one long field",
        "a field after another",
        "no end",
        "many fields",
        "long fields",
        "a path",
        "a query",
    ],
)
def test_a_head_that_is_too_large_is_refused_before_the_application(pieces: list[bytes]) -> None:
    with serving(PATIENT) as server:
        answer = server.answer(*pieces)

        assert (
            answer == b"" or status_of(answer) == 431
        )  # where the client still sends, its own system drops the answer
        assert server.reached == 0


def test_a_head_as_large_as_it_may_be_is_answered() -> None:
    fields = [b"X-%d: %s" % (number, b"x" * 600) for number in range(MOST_FIELDS - 2)]
    with serving(PATIENT) as server:
        answer = server.answer(head(*fields, b"Connection: close") + b"\r\n")

        assert status_of(answer) == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        head(),
        head() + b"X-Slow: ",
        b"POST / HTTP/1.1\r\nHost: ras.test\r\nContent-Length: 100\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nHost: ras.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        head() + b"\r\n" + b"GET / HTTP",
        head() + b"\r\n\r\n",
    ],
    ids=[
        "nothing",
        "a line",
        "no end",
        "a field",
        "half a body",
        "half of the chunks",
        "half a second",
        "a byte more",
    ],
)
def test_a_request_that_does_not_arrive_loses_its_connection(sent: bytes) -> None:
    with serving(SHORT) as server:
        answer = server.answer(sent)

        assert answer == b"" or status_of(answer) in {200, 408}


UPGRADE = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (head(*UPGRADE, target=b"/ws?token=" + b"x" * 8192), 414),
        (head(*UPGRADE, target=b"/ws?token=" + b"x" * 30_000), 414),
        (head(*UPGRADE, b"X-Long: " + b"x" * 8192), 431),
    ],
    ids=["a line too long", "much too long", "a field too long"],
)
def test_a_websocket_that_cannot_be_opened_is_answered_and_closed(sent: bytes, status: int) -> None:
    with serving(PATIENT) as server:
        assert status_of(server.answer(sent + b"\r\n")) == status
        wait_until(lambda: not server.connections, what="the connection is forgotten", deadline_s=30)


def test_what_is_not_http_is_answered_with_a_problem() -> None:
    with serving(PATIENT) as server:
        answer = server.answer(b"GET / HTTP/1.1\r\nBroken header\r\n\r\n")

        assert status_of(answer) == 400
        assert b"application/problem+json" in answer


def test_a_client_that_does_not_read_its_answer_loses_its_connection() -> None:
    with serving(SHORT) as server, closing(server.connect()) as connection:
        connection.sendall(head(target=b"/large") + b"\r\n")
        assert connection.recv(1000, socket.MSG_PEEK)
        wait_until(lambda: not server.connections, what="the server drops the connection", deadline_s=30)

        assert len(to_the_end(connection)) < LARGE


def test_connections_beyond_the_limit_are_told_so_and_later_ones_are_answered() -> None:
    with serving(PATIENT) as server:
        held = [server.connect() for _ in range(PATIENT.connections)]
        for connection in held:  # the server has accepted it once it answers
            connection.sendall(head() + b"\r\n")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert status_of(server.answer()) == 503
        for connection in held:
            connection.close()

        wait_until(
            lambda: status_of(server.answer(head(b"Connection: close") + b"\r\n")) == 200,
            what="a connection is free again",
            deadline_s=30,
        )


def test_several_requests_on_one_connection_are_answered_in_their_order() -> None:
    with serving(PATIENT) as server:
        answer = server.answer((head() + b"\r\n") * 5 + head(b"Connection: close") + b"\r\n")

        assert answer.count(b"HTTP/1.1 200") == 6


def test_the_last_message_of_a_websocket_arrives_before_the_server_closes_it() -> None:
    with serving(PATIENT) as server, connect(f"ws://127.0.0.1:{server.port}/farewell") as websocket:
        server.stop()
        server.leave.set()
        assert websocket.recv(timeout=30) == "goodbye"
        with pytest.raises(ConnectionClosedError):
            websocket.recv(timeout=30)
        assert websocket.close_code == 4999
