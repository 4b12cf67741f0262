"""Who may open a live stream: a token or a ticket in the address, a token in the header, or a session of the pages."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from infrastructure.http.identity import Identity, InvalidTokenError, TokenVerifier, bearer_token
from infrastructure.http.sessions import STREAM, Sessions, Tickets


class Access:
    """Finds out who it is that connects."""

    def __init__(self, verifier: TokenVerifier, tickets: Tickets, sessions: Sessions) -> None:
        self._verifier = verifier
        self._tickets = tickets
        self._sessions = sessions

    async def identity(self, connection: HTTPConnection) -> Identity:
        """Return who connects. Raises InvalidTokenError, and psycopg's errors where a ticket cannot be looked up."""
        if (ticket := connection.query_params.get("ticket")) is not None:
            if connection.scope.get("method") == "HEAD":  # it is for the GET that follows
                return self._tickets.look_at(STREAM, ticket)
            return await self._tickets.use(STREAM, ticket)
        return await self.without_ticket(connection, token=connection.query_params.get("token"))

    async def without_ticket(self, connection: HTTPConnection, *, token: str | None = None) -> Identity:
        """Return who asks for a ticket. Raises InvalidTokenError."""
        token = token or bearer_token(connection)
        if token is not None:
            return await self._verifier.verify(token)
        found = self._sessions.identity(connection)
        if found is None:
            raise InvalidTokenError("Send a token (?token= or Authorization: Bearer), a ticket, or sign in.")
        if not is_same_origin(connection):
            # A cookie comes along from any page; a token or a ticket does not.
            raise InvalidTokenError("A session can be used from RAS's own pages only.")
        return found

    def ticket_for(self, identity: Identity) -> str:
        """Return a ticket for one stream."""
        return self._tickets.issue(STREAM, identity)


def is_same_origin(connection: HTTPConnection) -> bool:
    """Whether a browser says that a page of this server asks (Fetch metadata; RFC 6454, section 7)."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:  # stands above Origin, which a form may send as "null"
        return site in {"same-origin", "none"}
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")
