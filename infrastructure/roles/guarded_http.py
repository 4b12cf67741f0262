"""HTTP connections that cannot be held open for nothing: uvicorn's protocol with limits and deadlines.

uvicorn limits neither the size of a request's head nor the time that a client takes to send it. Here:

- A head of more than 64 KB or 100 fields is answered with 431, before any of the application runs.
- A WebSocket's first request that the WebSocket library does not accept is answered with 414, 431 or 400. uvicorn
  would leave its connection open and silent.
- A request that has not arrived within the deadline, head and body, is answered with 408.
- Between two requests uvicorn's own keep-alive timer runs (`RAS_HTTP_KEEP_ALIVE_S`); one that is stopped by a byte
  without a request is replaced by the deadline.
- A client that does not read its answer for as long loses the connection.
- Connections beyond the limit of the process are answered with 503.

All of these close the connection. A request that arrives in one piece, as nearly all do, starts no timer.
"""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import MAX_LINE_LENGTH

MOST_HEAD_BYTES: Final = 65_536
MOST_FIELDS: Final = 100

_TITLES: Final = {
    400: b"Bad Request",
    408: b"Request Timeout",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}
_TRANSIENT: Final = frozenset({408, 503})


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Of one process. `deadline_s`: for a request to arrive, and for a client to go on reading its answer."""

    deadline_s: float = 15.0
    connections: int = 10_000


def guarded_http(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return what uvicorn's `http` setting takes."""
    return cast(type[asyncio.Protocol], partial(_GuardedHttp, limits))


class _HeadTooLargeError(Exception):
    """Raised within the parser, which stops at it."""


class _GuardedHttp(HttpToolsProtocol):
    def __init__(self, limits: ConnectionLimits, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._head_bytes = self._told_bytes = self._fields = 0
        self._is_in_head = True
        self._is_arriving = False
        self._is_too_large = False
        self._arrival: TimerHandle | None = None
        self._unread: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse(503, "This process has as many connections as it may have. Try again shortly.")
        else:
            self._arrival = self._later(self._too_slow)

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return  # a WebSocket from here on, which waits as long as it likes between two frames
        # The parser does not report a field before its end, so bytes are counted here.
        if self._is_in_head and self._head_bytes > MOST_HEAD_BYTES:
            self._refuse_head()
            return
        is_idle = self._is_between_requests and self.timeout_keep_alive_task is None
        if self._is_arriving or is_idle:
            self._arrival = self._arrival or self._later(self._too_slow)
        else:
            self._stop_arrival()

    def on_message_begin(self) -> None:
        self._is_in_head = self._is_arriving = True
        self._head_bytes = self._told_bytes = self._fields = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + 4)  # the colon, a blank, and the end of the line
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours has the form of all problems
        if self._is_too_large:
            self._refuse_head()
        else:
            self._refuse(400, "This is not a valid HTTP request.")

    def handle_websocket_upgrade(self) -> None:
        self._stop_arrival()
        request_line = len(self.scope["method"]) + len(self.url) + len("  HTTP/1.1\r\n")
        if request_line > MAX_LINE_LENGTH:
            self._refuse(414, f"The request line of a WebSocket may have {MAX_LINE_LENGTH:,} bytes at most.")
            return
        if any(len(name) + len(value) + len(": \r\n") > MAX_LINE_LENGTH for name, value in self.headers):
            self._refuse(431, f"A field of a WebSocket's request may have {MAX_LINE_LENGTH:,} bytes at most.")
            return
        super().handle_websocket_upgrade()
        opened = self.transport.get_protocol()
        if isinstance(opened, WebSocketsSansIOProtocol) and not opened.handshake_initiated:
            self._refuse(400, "This is not a valid request for a WebSocket.")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self._unread or self._later(self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_arrival()
        super().connection_lost(exc)
        if self._unread is not None:
            self._unread.cancel()

    @property
    def _is_between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _count(self, size: int) -> None:
        self._told_bytes += size
        if self._told_bytes > MOST_HEAD_BYTES or self._fields > MOST_FIELDS:
            self._is_too_large = True
            raise _HeadTooLargeError

    def _refuse_head(self) -> None:
        self._refuse(
            431, f"A request's head may have {MOST_HEAD_BYTES // 1024} KB and {MOST_FIELDS} fields at most."
        )

    def _too_slow(self) -> None:
        self._arrival = None
        self._refuse(408, f"The request did not arrive within {self._limits.deadline_s:g} seconds.")

    def _refuse(self, status: int, detail: str) -> None:
        self._stop_arrival()
        if self.transport.is_closing():
            return
        # Behind a response that has begun, another would be read as a part of it.
        if self._is_between_requests or not self.cycle.response_started:
            title = _TITLES[status]
            body = orjson.dumps(
                {
                    "type": "about:blank",
                    "title": title.decode(),
                    "status": status,
                    "detail": detail,
                    "error": detail,
                }
            )
            head = (
                b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
                b"%bconnection: close\r\n\r\n"
            )
            again = b"retry-after: 5\r\n" if status in _TRANSIENT else b""
            self.transport.write(head % (status, title, len(body), again) + body)
        self.transport.close()

    def _later(self, then: Callable[[], None]) -> TimerHandle:
        return self.loop.call_later(self._limits.deadline_s, then)

    def _stop_arrival(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
