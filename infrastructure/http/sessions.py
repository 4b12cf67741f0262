"""What RAS itself signs: sessions in a cookie, and tickets that can be used once.

All are signed with the newest of RAS_SESSION_KEYS and accepted under each of them: put a new key in front to
rotate, remove the old ones to end everything that was signed with them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from infrastructure.http.identity import LONGEST_TOKEN, Identity, InvalidTokenError, roles_in

COOKIE: Final = "ras_session"
SESSION_S: Final = 12 * 3600
_RENEWED_AFTER_S: Final = 3600
STREAM_TICKET_S: Final = 60
SIGN_IN_TICKET_S: Final = 3600

STREAM: Final = "stream"
SIGN_IN: Final = "sign-in"
_VALID_S: Final = {STREAM: STREAM_TICKET_S, SIGN_IN: SIGN_IN_TICKET_S}

_USE: Final = """
    INSERT INTO ras.used_tickets (ticket_id, expires_at)
    VALUES (%(ticket)s, clock_timestamp() + make_interval(secs => %(seconds)s))
    ON CONFLICT DO NOTHING RETURNING ticket_id
"""
_FORGET: Final = "DELETE FROM ras.used_tickets WHERE expires_at < clock_timestamp() RETURNING ticket_id"
_FORGET_EVERY: Final = 100

Rows = Callable[[str, Mapping[str, Any]], Awaitable[Sequence[Any]]]
"""Runs a statement. Raises psycopg's errors when the database is unavailable."""


class Tickets:
    """Tickets for one use, in a place where a token would be seen by others: an address."""

    def __init__(self, keys: Sequence[str], rows: Rows) -> None:
        self._keys = keys
        self._rows = rows
        self._used = 0

    def issue(self, purpose: str, identity: Identity) -> str:
        """Return a ticket that proves `identity` once, within the time for its purpose."""
        return issue_ticket(self._keys, purpose, identity)

    async def use(self, purpose: str, ticket: str) -> Identity:
        """Return whose ticket it is. Raises InvalidTokenError, also when it was used before, here or elsewhere."""
        content = self._read(purpose, ticket)
        # One row decides between all API processes. It stays for as long as the ticket would be accepted.
        taken = await self._rows(_USE, {"ticket": content["id"], "seconds": _VALID_S[purpose] + 60})
        if not taken:
            raise InvalidTokenError("The ticket was used before. Each can be used once.")
        self._used += 1
        if self._used % _FORGET_EVERY == 0:
            await self._rows(_FORGET, {})
        return _identity(content)

    def look_at(self, purpose: str, ticket: str) -> Identity:
        """Return whose ticket it is, and leave it to be used. Raises InvalidTokenError."""
        return _identity(self._read(purpose, ticket))

    def _read(self, purpose: str, ticket: str) -> dict[str, Any]:
        if len(ticket) > LONGEST_TOKEN:
            raise InvalidTokenError("The ticket is not valid.")
        try:
            content: dict[str, Any] = serializer(self._keys, purpose).loads(ticket, max_age=_VALID_S[purpose])
        except BadData as error:
            raise InvalidTokenError("The ticket is not valid, or its time is over.") from error
        return content


def issue_ticket(keys: Sequence[str], purpose: str, identity: Identity) -> str:
    """Return a ticket signed with the first of `keys`."""
    content = {**_content(identity), "id": secrets.token_urlsafe(12)}
    return str(serializer(keys, purpose).dumps(content))


class Sessions:
    """Sessions in a signed cookie, which carries who it is and until when; the server keeps nothing."""

    def __init__(self, keys: Sequence[str], *, secure: bool) -> None:
        self._serializer = serializer(keys, "session")
        self.secure = secure

    def identity(self, connection: HTTPConnection) -> Identity | None:
        """Return whose session the cookie is, None where there is none that is valid."""
        cookie = connection.cookies.get(COOKIE)
        if not cookie or len(cookie) > LONGEST_TOKEN:
            return None
        try:
            identity = _identity(self._serializer.loads(cookie, max_age=SESSION_S))
        except BadData:
            return None
        return identity if identity.until > time.time() else None

    def start(self, response: Response, identity: Identity) -> None:
        """Put a session into the answer."""
        response.set_cookie(
            COOKIE,
            _signed_session(self._serializer, identity),
            max_age=SESSION_S,
            httponly=True,
            samesite="lax",
            secure=self.secure,
            path="/",
        )

    def renew(self, connection: HTTPConnection, response: Response, identity: Identity) -> None:
        """Sign the session again when it is an hour old, with the newest key."""
        try:
            _, signed_at = self._serializer.loads(
                connection.cookies.get(COOKIE, ""), max_age=SESSION_S, return_timestamp=True
            )
        except BadData:
            return
        if time.time() - signed_at.timestamp() > _RENEWED_AFTER_S:
            self.start(response, identity)

    def end(self, response: Response) -> None:
        """Take the session out of the browser."""
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=self.secure)


def session_cookie(keys: Sequence[str], identity: Identity) -> str:
    """Return the value of a session's cookie, signed with the first of `keys`."""
    return _signed_session(serializer(keys, "session"), identity)


def session_until() -> float:
    """Return until when a person who signs in now by a ticket is known, in Unix seconds."""
    return time.time() + 7 * 24 * 3600


def serializer(keys: Sequence[str], purpose: str) -> URLSafeTimedSerializer:
    """Return what signs with the first of `keys`, and accepts what any of them signed, for one purpose."""
    return URLSafeTimedSerializer(list(reversed(keys)), salt=f"ras/{purpose}")  # it signs with the last


def _signed_session(signing: URLSafeTimedSerializer, identity: Identity) -> str:
    return str(signing.dumps(_content(identity)))


def _content(identity: Identity) -> dict[str, Any]:
    return {"sub": identity.subject, "roles": sorted(identity.roles), "until": identity.until}


def _identity(content: Mapping[str, Any]) -> Identity:
    return Identity(content["sub"], roles_in(content["roles"]), content["until"])
