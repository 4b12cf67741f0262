"""Signing in: by a link with a ticket that works once, or by a token that a gateway's form posts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from infrastructure.http.identity import EXAMINER, OPERATOR, Identity, TokenVerifier
from infrastructure.http.sessions import SIGN_IN, Sessions, Tickets
from infrastructure.live.access import is_same_origin
from infrastructure.pages.rendering import Renderer

_STATIC: Final = Path(__file__).parent / "static"
_HOMES: Final = ((OPERATOR, "/operator"), (EXAMINER, "/examiner"))


def home_of(identity: Identity) -> str:
    """Return the first page for somebody."""
    return next((home for role, home in _HOMES if role in identity.roles), "/batches")


def sign_in_routes(
    renderer: Renderer, sessions: Sessions, tickets: Tickets, verifier: TokenVerifier
) -> list[BaseRoute]:
    """Return the routes by which people come in and go."""

    def begun(identity: Identity) -> Response:
        # 303: what a reload repeats must not be the ticket.
        response = RedirectResponse(home_of(identity), status_code=303, headers={"Cache-Control": "no-store"})
        sessions.start(response, identity)
        return response

    async def sign_in(request: Request) -> Response:
        async def work() -> Response:
            if request.method == "POST":
                token = str((await request.form(max_fields=5)).get("token", ""))
                return begun(await verifier.verify(token))
            ticket = request.query_params.get("ticket")
            if ticket is not None and request.method == "GET":  # HEAD is a program that looks at the link
                return begun(await tickets.use(SIGN_IN, ticket))
            return renderer.page(request, "sign_in.html", title="Sign in", reason=None)

        return await renderer.answered(request, None, work)

    async def sign_out(request: Request) -> Response:
        response: Response = RedirectResponse("/sign-in", status_code=303)
        if not is_same_origin(request):
            return renderer.fault(request, 403)
        sessions.end(response)
        return response

    async def home(request: Request) -> Response:
        identity = sessions.identity(request)
        return RedirectResponse("/sign-in" if identity is None else home_of(identity), status_code=303)

    return [
        Route("/", home),
        Route("/sign-in", sign_in, methods=["GET", "POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
