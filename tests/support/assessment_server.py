"""A server that a test scripts down to the bytes, in the place of the assessment app.

It listens on a real port. What becomes of each request is the next act of the script, and `otherwise`
when the script is at its end. It runs in a thread of its own, so that it goes on while the test waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import unquote

import orjson

_Result = TypeVar("_Result")
_DEADLINE_S = 30.0
_DRIP_INTERVAL_S = 0.01


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; header names are in lower case."""

    path: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the connection it came by."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    released: asyncio.Event

    async def send(self, content: bytes) -> None:
        """Send bytes."""
        self.writer.write(content)
        await self.writer.drain()


Act = Callable[[Exchange], Awaitable[None]]


def summary_body(batch_id: str, *jobs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a body in the form of the assessment app's summary."""
    return {"batch_id": batch_id, "jobs": list(jobs), **more}


def answering(body: object, *, status: int = 200, **headers: str) -> Act:
    """Answer with `body`, bytes as they are and anything else as JSON; `headers` are named with `_` for `-`."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    given = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    named = {"content-type": "application/json", "content-length": str(len(content)), **given}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return saying(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + content)


async def answering_each(exchange: Exchange) -> None:
    """Answer with an empty summary of the batch that was asked about."""
    batch_id = unquote(exchange.request.path.split("/")[-2])
    await answering(summary_body(batch_id))(exchange)


def saying(raw: bytes) -> Act:
    """Answer with these bytes."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(raw)

    return act


def hanging_up_after(raw: bytes = b"") -> Act:
    """Answer with these bytes and end the connection in order."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(raw)
        exchange.writer.close()

    return act


def resetting_after(raw: bytes = b"") -> Act:
    """Answer with these bytes and reset the connection (RST)."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(raw)
        connection: socket.socket = exchange.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        exchange.writer.transport.abort()

    return act


def stalling_after(raw: bytes = b"") -> Act:
    """Answer with these bytes and nothing more until the client goes."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(raw)
        await exchange.reader.read()

    return act


def dripping(raw: bytes) -> Act:
    """Answer with these bytes, one at a time, over and over, until the client goes."""

    async def act(exchange: Exchange) -> None:
        while not exchange.reader.at_eof():
            for byte in raw:
                await exchange.send(bytes([byte]))
                await asyncio.sleep(_DRIP_INTERVAL_S)

    return act


def held(then: Act) -> Act:
    """Do `then` when the test releases it."""

    async def act(exchange: Exchange) -> None:
        await exchange.released.wait()
        await then(exchange)

    return act


class AssessmentServer:
    """The server. `requests` and `connections` are what came so far."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.otherwise: Act = answering({}, status=500)
        self.port = 0
        self._script: deque[Act] = deque()
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self._released = asyncio.Event()
        self.start()

    @property
    def url(self) -> str:
        """Where it listens, or did."""
        return f"http://127.0.0.1:{self.port}"

    def then(self, *acts: Act) -> None:
        """Add to the script: one act for each request to come."""
        self._script.extend(acts)

    def release(self) -> None:
        """Let all held answers go."""
        self._loop.call_soon_threadsafe(self._released.set)

    def start(self) -> None:
        """Listen, again at the same port after the first time."""
        self._server = self._run(
            asyncio.start_server(self._converse, "127.0.0.1", self.port, reuse_address=True)
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Refuse connections and end those that there are."""
        self._run(self._stop())

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        conversations = list(self._conversations)
        for conversation in conversations:
            conversation.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_DEADLINE_S)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        conversation = asyncio.current_task()
        assert conversation is not None
        self._conversations.add(conversation)
        try:
            while not writer.is_closing():
                request = _request(await reader.readuntil(b"\r\n\r\n"))
                self.requests.append(request)
                act = self._script.popleft() if self._script else self.otherwise
                await act(Exchange(request, reader, writer, self._released))
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client has gone
        except asyncio.CancelledError:
            return  # the server was stopped, which ends its conversations
        finally:
            self._conversations.discard(conversation)
            writer.transport.abort()


def _request(head: bytes) -> Request:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(first.split(" ")[1], headers)


@contextmanager
def assessment_server() -> Iterator[AssessmentServer]:
    """A server for the time of a block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="assessment server", daemon=True)
    thread.start()
    try:
        server = AssessmentServer(loop)
        try:
            yield server
        finally:
            server.stop()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_DEADLINE_S)
        with contextlib.closing(loop):
            loop.run_until_complete(loop.shutdown_asyncgens())
