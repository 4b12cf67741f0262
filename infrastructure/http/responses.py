"""Responses with an ETag."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from application.json_text import json_bytes

NOT_MODIFIED: Final = 304


def json_response(
    request: Request,
    body: Mapping[str, Any] | bytes,
    *,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return `body` (bytes are JSON already), or 304 where the client has it. The default ETag is a hash."""
    content = body if isinstance(body, bytes) else json_bytes(body)
    etag = etag or blake2b(content, digest_size=12).hexdigest()
    return tagged_response(request, content, etag=etag, headers=headers)


def tagged_response(
    request: Request,
    content: bytes,
    *,
    etag: str,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return `content` under `etag` (without quotes), or 304 where the client has it."""
    quoted = f'"{etag}"'
    sent = {"ETag": quoted, "Cache-Control": "private, no-cache", **(headers or {})}
    if _matches(request.headers.get("if-none-match"), quoted):
        return Response(status_code=NOT_MODIFIED, headers=sent)
    return Response(content, headers=sent, media_type=media_type)


def _matches(given: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names `etag`, by weak comparison (RFC 9110, section 13.1.2)."""
    if given is None:
        return False
    candidates = [part.strip().removeprefix("W/") for part in given.split(",")]
    return "*" in candidates or etag in candidates
