"""JSON answers with an ETag, and reading what a request asks."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from infrastructure.http.problems import Problem

NOT_MODIFIED: Final = 304
_LONGEST_ID: Final = 255


def json_response(
    request: Request,
    body: Mapping[str, Any] | bytes,
    *,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return `body` (bytes are JSON already), or 304 where the client has it. The default ETag is a hash."""
    content = body if isinstance(body, bytes) else orjson.dumps(body)
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


def id_param(request: Request, name: str, *, error: str) -> str:
    """Return an identifier from the path. Raises Problem 400 for one that cannot be any."""
    value = str(request.path_params[name])
    if len(value) > _LONGEST_ID or "\0" in value:
        raise Problem(400, f"This cannot be an identifier: {name}.", error=error)
    return value


def int_param(request: Request, name: str, default: int, *, lowest: int, highest: int) -> int:
    """Return a number from the query; what is none, or below `lowest`, is the default."""
    try:
        value = int(request.query_params.get(name, default))
    except ValueError:
        return default
    return default if value < lowest else min(value, highest)


def cursor(request: Request) -> int | None:
    """Return the cursor from the query. Raises Problem 400 for one that we did not give out."""
    given = request.query_params.get("cursor")
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise Problem(400, "This cursor is not one of ours; take it from next_cursor.")
    return int(given)


def bool_param(request: Request, name: str) -> bool:
    """Return a yes or no from the query. Raises Problem 400 for anything else."""
    given = request.query_params.get(name, "false").lower()
    if given not in {"true", "false", "1", "0"}:
        raise Problem(400, f"{name} must be true or false.")
    return given in {"true", "1"}
