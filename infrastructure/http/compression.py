"""Large answers are compressed for clients that accept gzip; nothing with a secret in it is.

The length of a compressed answer shows how much of it repeats. Where an answer has a secret beside something that an
attacker can choose, that length gives the secret away letter by letter (BREACH). So compression is only for data and
files, by their types: never for HTML, which has tokens for forms, and never for what says `no-store` or sets a cookie,
as every answer with a ticket or a session does.

A compressed answer has a weak ETag: it is the same answer in other bytes. `Vary` stands on every answer that could have
been compressed, also on the 304 for it.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infrastructure.http.negotiation import weights

SMALLEST: Final = 1_000
"""Bytes below which an answer fits into one packet anyway."""

_TYPES: Final = frozenset(
    {
        b"application/json",
        b"application/javascript",
        b"image/svg+xml",
        b"text/css",
        b"text/csv",
        b"text/javascript",
        b"text/plain",
    }
)
_VARY: Final = (b"vary", b"Accept-Encoding")
_LEVEL: Final = 1
_ON_A_THREAD: Final = 100_000
"""Bytes above which compressing takes so long that other requests should not wait for it: some milliseconds."""
_GZIP: Final = 16 + zlib.MAX_WBITS


class CompressionMiddleware:
    """Compresses what may be compressed for a client that accepts it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        accepted = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
        await self._app(scope, receive, _Answer(send, accepts=accepts_gzip(accepted.decode("latin-1"))))


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client wants gzip at least as much as no coding (RFC 9110, section 12.5.3)."""
    if not accept_encoding:
        return False
    wanted = weights(accept_encoding)
    gzip = wanted.get("gzip", wanted.get("x-gzip", wanted.get("*", 0.0)))
    return gzip > 0 and gzip >= wanted.get("identity", 0.0)


class _Answer:
    """One answer on its way out. Its head waits for the first part of its body, which decides about it."""

    def __init__(self, send: Send, *, accepts: bool) -> None:
        self._send = send
        self._accepts = accepts
        self._head: Message | None = None
        self._compressor: zlib._Compress | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._head is not None and message["type"] == "http.response.body":
            head, self._head = self._head, None
            await self._first(head, message)
        elif self._compressor is not None and message["type"] == "http.response.body":
            await self._send(self._compressed(self._compressor, message))
        else:
            await self._send(message)

    async def _begin(self, head: Message) -> None:
        status, given = head["status"], dict(head["headers"])
        if not _may_be_compressed(given, status):
            await self._send(head)
            return
        headers = MutableHeaders(raw=[*head["headers"]])
        if b"vary" in given:
            headers.add_vary_header("Accept-Encoding")
        else:
            headers.raw.append(_VARY)
        head["headers"] = headers.raw
        if self._accepts and status == 200 and int(given.get(b"content-length", SMALLEST)) >= SMALLEST:
            self._head = head
        else:
            await self._send(head)

    async def _first(self, head: Message, message: Message) -> None:
        headers = MutableHeaders(raw=head["headers"])
        headers["content-encoding"] = "gzip"
        if "etag" in headers and not headers["etag"].startswith("W/"):
            headers["etag"] = f"W/{headers['etag']}"
        del headers["content-length"]
        del headers["accept-ranges"]
        body, more = message.get("body", b""), message.get("more_body", False)
        if more:
            self._compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
            message = self._compressed(self._compressor, message)
        elif body:  # none: HEAD of a file
            large = len(body) > _ON_A_THREAD
            content = await asyncio.to_thread(_gzip, body) if large else _gzip(body)
            headers["content-length"] = str(len(content))
            message = {**message, "body": content}
        head["headers"] = headers.raw
        await self._send(head)
        await self._send(message)

    @staticmethod
    def _compressed(compressor: zlib._Compress, message: Message) -> Message:
        content = compressor.compress(message.get("body", b""))
        if not message.get("more_body", False):
            content += compressor.flush()
        return {**message, "body": content}


def _may_be_compressed(headers: Mapping[bytes, bytes], status: int) -> bool:
    if b"set-cookie" in headers or b"content-encoding" in headers:
        return False
    if b"no-store" in headers.get(b"cache-control", b""):
        return False
    return status == 304 or headers.get(b"content-type", b"").partition(b";")[0].strip().lower() in _TYPES


def _gzip(content: bytes) -> bytes:
    return zlib.compress(content, _LEVEL, wbits=_GZIP)
