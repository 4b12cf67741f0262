"""The headers by which a browser protects the reader: one rule for every response outside the machine API.

They are added to pages and to whatever is not rendered as one: redirects, downloads, files, refused methods, faults.
A response that needs another policy, as a page with its nonce does, brings its own.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NOTHING_ALLOWED: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of what shows nothing but itself."""

_ALWAYS: Final = {
    "Content-Security-Policy": NOTHING_ALLOWED,
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_PRIVATE: Final = "private, no-store"
_ASK_EACH_TIME: Final = "no-cache"
CURRENT: Final = {"Cache-Control": _ASK_EACH_TIME}
"""The headers of what is the same for everybody: a client asks each time whether its copy is current.

A page must not meet the script of an older release, and a probe must not see the health of a while ago.
"""


def add_browser_headers(headers: MutableHeaders) -> None:
    """Add what is missing. What has an ETag is a file of the release, the same for everybody."""
    for name, value in _ALWAYS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", _ASK_EACH_TIME if "ETag" in headers else _PRIVATE)


class BrowserHeadersMiddleware:
    """Adds the headers to every response whose address is not under `prefix`."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                add_browser_headers(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, respond)
