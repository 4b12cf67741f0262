"""The live stream over server-sent events and over WebSocket, and tickets for both."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any, Final

import orjson
import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from application.json_text import json_bytes
from infrastructure.http.identity import Identity, InvalidTokenError
from infrastructure.http.problems import Problem
from infrastructure.http.sessions import STREAM_TICKET_S
from infrastructure.live.access import Access
from infrastructure.live.hub import End, Hub, Stream, TooManyStreamsError
from infrastructure.live.messages import EXPIRED, READY, RECONNECT, Message, message

_BACK_WITHIN_S: Final = (1.0, 15.0)
"""Clients of a server that stops come back spread over this time, not all in one second."""
_CLOSE_TIMEOUT_S: Final = 5.0
_RESUME_WITHIN_S: Final = 2.0
"""A socket waits so long for `resume`, so that what was missed comes before what happens now."""

# Upstream's clients know 1008 (who are you) and 4000 (too much); the others are RFC 6455's and our own.
_POLICY, _UNSUPPORTED, _SERVER_ERROR, _RESTART = 1008, 1003, 1011, 1012
_TOO_MANY, _SLOW = 4000, 4008


def live_routes(hub: Hub, access: Access, *, heartbeat_s: float) -> list[BaseRoute]:
    """Return the routes of the live stream. The server pings WebSockets itself; `heartbeat_s` is for events."""

    async def ticket(request: Request) -> Response:
        identity = await _identity(request)
        body = {"ticket": access.ticket_for(identity), "expires_in": STREAM_TICKET_S}
        return Response(
            orjson.dumps(body),
            status_code=201,
            media_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def _identity(request: Request) -> Identity:
        try:
            if request.method == "POST":
                return await access.without_ticket(request)
            return await access.identity(request)
        except InvalidTokenError as error:
            raise Problem(401, str(error), WWW_Authenticate="Bearer") from error

    async def events(request: Request) -> Response:
        identity = await _identity(request)
        if request.method == "HEAD":
            described = Response(headers=_STREAM_HEADERS, media_type=_EventStream.media_type)
            del described.headers["content-length"]  # the stream has none
            return described
        last_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        try:
            stream = await hub.open(identity.subject)
        except TooManyStreamsError as error:
            raise Problem(429, _TOO_MANY_TEXT, error="Too many streams", Retry_After="30") from error
        try:
            first = [_ready(stream)] if last_id is None else await hub.resumed(stream, last_id)
        except BaseException:
            hub.leave(stream)
            raise
        return _EventStream(hub, stream, identity, first, heartbeat_s)

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            identity = await access.identity(websocket)
            stream = await hub.open(identity.subject)
        except InvalidTokenError as error:
            await websocket.close(_POLICY, str(error))
        except TooManyStreamsError:
            await websocket.close(_TOO_MANY, _TOO_MANY_TEXT)
        except psycopg.Error:
            await websocket.close(_SERVER_ERROR, "The database is unavailable. Try again shortly.")
        else:
            try:
                await _Socket(hub, stream, websocket, identity).run()
            finally:
                hub.leave(stream)

    return [
        Route("/v1/stream-tickets", ticket, methods=["POST"]),
        Route("/v1/notifications/stream", events),
        WebSocketRoute("/ws", socket),
    ]


_TOO_MANY_TEXT: Final = "You have too many live streams open. Close a window and try again."


# A proxy that collects an answer before it passes it on would hold every message back.
_STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class _EventStream(Response):
    """Server-sent events (WHATWG HTML, section 9.2) until the client has gone, does not read, or has to leave."""

    media_type = "text/event-stream"

    def __init__(
        self, hub: Hub, stream: Stream, identity: Identity, first: list[Message], heartbeat_s: float
    ) -> None:
        super().__init__(headers=_STREAM_HEADERS)
        del self.headers["content-length"]
        self._hub = hub
        self._stream = stream
        self._identity = identity
        self._first = first
        self._heartbeat_s = heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve. Returning before the end of the body makes the server cut the connection."""
        del scope
        tasks = [
            asyncio.create_task(self._send(send)),
            asyncio.create_task(_until_gone(receive)),
            asyncio.create_task(self._stream.overrun.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(self._stream)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, OSError):
                raise result

    async def _send(self, send: Send) -> None:
        async def write(body: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await write(b"retry: 3000\n\n" + b"".join(each.as_event() for each in self._first))
        while True:
            left_s = self._identity.until - time.time()
            taken = await self._stream.take(max(0.0, min(self._heartbeat_s, left_s)))
            if self._stream.end is End.SLOW:
                return
            body = b"".join(each.as_event() for each in taken)
            if self._stream.end is End.STOPPING:
                after_ms = _back_after_ms()
                hint = b"retry: %d\n" % after_ms + _as_event(RECONNECT, {"after_ms": after_ms})
                await write(body + hint, more=False)
                return
            if left_s <= 0:
                await write(
                    body + _as_event(EXPIRED, {"detail": "Get a new token, then resume."}), more=False
                )
                return
            await write(body or b": heartbeat\n\n")


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _as_event(kind: str, content: dict[str, Any]) -> bytes:
    """Return an event without an id: the client keeps the one it has."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json_bytes({**content, "notification_type": kind}))


def _back_after_ms() -> int:
    shortest, longest = _BACK_WITHIN_S
    return round(1000 * random.uniform(shortest, longest))  # noqa: S311 - spreads load, hides nothing


def _ready(stream: Stream) -> Message:
    return message(READY, stream.reached, {})


class _Socket:
    """One WebSocket: what is sent, and what its client says."""

    def __init__(self, hub: Hub, stream: Stream, websocket: WebSocket, identity: Identity) -> None:
        self._hub = hub
        self._stream = stream
        self._websocket = websocket
        self._identity = identity
        self._code: tuple[int, str] | None = None
        self._turn = asyncio.Lock()
        self._resumed = asyncio.Event()

    async def run(self) -> None:
        """Serve until one of both ends it."""
        last_id = self._websocket.query_params.get("last_event_id")
        sending = asyncio.create_task(self._send(last_id))
        receiving = asyncio.create_task(self._receive())
        overrun = asyncio.create_task(self._stream.overrun.wait())
        try:
            await asyncio.wait({sending, receiving, overrun}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, receiving, overrun):
                task.cancel()
            done = await asyncio.gather(sending, receiving, overrun, return_exceptions=True)
        if self._stream.end is End.SLOW:
            self._code = (_SLOW, "The client reads too slowly. Connect again, then resume.")
        for result in done:
            if isinstance(result, psycopg.Error):
                self._code = (_SERVER_ERROR, "The database is unavailable. Try again shortly.")
            elif isinstance(result, Exception) and not isinstance(
                result, WebSocketDisconnect | RuntimeError | OSError
            ):
                raise result
        await self._close()

    async def _send(self, last_id: str | None) -> None:
        if last_id is not None:
            await self._resume(last_id)
        elif self._stream.end is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESUME_WITHIN_S):
                    await self._resumed.wait()
        while True:
            left_s = self._identity.until - time.time()
            # The server's pings are the heartbeat here: the library sends them and misses the answers.
            await self._stream.wait(max(0.0, min(60.0, left_s)))
            async with self._turn:
                for each in self._stream.taken():
                    await self._websocket.send_text(each.json.decode())
            if self._stream.end is End.SLOW:
                return
            if self._stream.end is End.STOPPING:
                hint = {"notification_type": RECONNECT, "after_ms": _back_after_ms()}
                await self._websocket.send_text(orjson.dumps(hint).decode())
                self._code = (_RESTART, "The server stops. Connect again.")
                return
            if left_s <= 0:
                self._code = (_POLICY, "The token has expired. Connect with a new one, then resume.")
                return

    async def _receive(self) -> None:
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text")
            if text is None:
                self._code = (_UNSUPPORTED, "Send text, not binary frames.")
                return
            if text == "ping":
                await self._websocket.send_text("pong")
                continue
            try:
                said = orjson.loads(text)
            except orjson.JSONDecodeError:
                self._code = (_UNSUPPORTED, "Send JSON.")
                return
            if isinstance(said, dict):
                await self._heed(said)

    async def _heed(self, said: dict[str, Any]) -> None:
        if said.get("type") == "ping":
            is_cut_off = self._hub.is_cut_off
            await self._websocket.send_text(
                '{"type":"pong","cut_off":true}' if is_cut_off else '{"type":"pong"}'
            )
        elif said.get("type") == "resume":
            await self._resume(said.get("last_event_id"))

    async def _resume(self, last_id: object) -> None:
        async with self._turn:
            missed = (
                [_ready(self._stream)]
                if last_id is None
                else await self._hub.resumed(self._stream, str(last_id))
            )
            for each in missed:
                await self._websocket.send_text(each.json.decode())
        self._resumed.set()

    async def _close(self) -> None:
        if self._code is None or self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        with contextlib.suppress(TimeoutError, RuntimeError, OSError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._websocket.close(*self._code)
