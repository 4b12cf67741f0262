"""Responses with an ETag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from application.json_text import json_bytes

NOT_MODIFIED: Final = 304

_CODING: Final = r"--?(?:x-)?(?:gzip|br|zstd|deflate|compress)"
_MARK: Final = re.compile(_CODING)
_TAG: Final = re.compile(rf'(?:W/)?"(?P<tag>[^"]*)"(?:{_CODING})?')


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
    sent = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache", **(headers or {})}
    known = tag_that_client_has(request.headers, etag)
    if known is not None:
        return Response(status_code=NOT_MODIFIED, headers=sent | {"ETag": known})
    return Response(content, headers=sent, media_type=media_type)


def tag_that_client_has(headers: Headers, etag: str) -> str | None:
    """Return the tag in `If-None-Match` that stands for `etag` (without quotes), as it was sent; None without one.

    By weak comparison (RFC 9110, section 13.1.2), over all lines of the header. A proxy that compresses marks the tags
    that it passes on (`"x-gzip"`, Jetty's `"x--gzip"`, old Apache's `"x"-gzip`): such a tag stands for `x` too. A 304
    names the tag that the client has, so that a cache finds what it keeps under it.
    """
    given = ",".join(headers.getlist("if-none-match"))
    if not given:
        return None
    if given.strip() == "*":
        return f'"{etag}"'
    for found in _TAG.finditer(given):
        marked = found["tag"].removeprefix(etag)
        if found["tag"].startswith(etag) and (not marked or _MARK.fullmatch(marked)):
            return found[0]
    return None
