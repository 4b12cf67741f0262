"""Signing in: by a link that works once, by a token that a gateway's form posts, or at an identity provider."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from infrastructure.http.identity import EXAMINER, OPERATOR, Identity, TokenVerifier
from infrastructure.http.sessions import SIGN_IN, Sessions, Tickets
from infrastructure.http.static_files import TaggedFiles
from infrastructure.live.access import is_same_origin
from infrastructure.pages.forms import form_of
from infrastructure.pages.openid import CALLBACK, COOKIE, OpenIdSignIn, ProviderUnavailableError
from infrastructure.pages.rendering import Renderer

_STATIC: Final = Path(__file__).parent / "static"
_OTHER_SITE: Final = (
    "A page of another site may sign somebody in only if RAS_SIGN_IN_ORIGINS names its origin."
)
_HOMES: Final = ((OPERATOR, "/operator"), (EXAMINER, "/examiner"))


def home_of(identity: Identity) -> str:
    """Return the first page for somebody."""
    return next((home for role, home in _HOMES if role in identity.roles), "/batches")


def sign_in_routes(
    renderer: Renderer,
    sessions: Sessions,
    tickets: Tickets,
    verifier: TokenVerifier,
    *,
    portals: Collection[str],
    provider: OpenIdSignIn | None,
) -> list[BaseRoute]:
    """Return the routes by which people come in and go. `portals` are other sites that may sign people in."""

    def begun(identity: Identity) -> Response:
        # 303: what a reload repeats must not be the ticket.
        response = RedirectResponse(home_of(identity), status_code=303)
        sessions.start(response, identity)
        return response

    async def sign_in(request: Request) -> Response:
        async def work() -> Response:
            if request.method == "POST":
                if not _may_sign_in(request, portals):
                    return renderer.fault(request, 403, detail=_OTHER_SITE)
                token = str((await form_of(request)).get("token", ""))
                return begun(await verifier.verify(token))
            ticket = request.query_params.get("ticket")
            if ticket is not None and request.method == "GET":  # HEAD is a program that looks at the link
                return begun(await tickets.use(SIGN_IN, ticket))
            return renderer.page(request, "sign_in.html", title="Sign in", reason=None)

        return await renderer.answered(request, None, work)

    async def asked_provider(request: Request, ask: OpenIdSignIn, *, is_back: bool) -> Response:
        async def work() -> Response:
            try:
                if not is_back:
                    return await ask.begin(request)
                response = begun(await ask.finish(request))
            except ProviderUnavailableError as error:
                return renderer.page(request, "sign_in.html", status=503, title="Sign in", reason=str(error))
            response.delete_cookie(COOKIE, path="/sign-in")
            return response

        return await renderer.answered(request, None, work)

    def openid_routes(ask: OpenIdSignIn) -> list[BaseRoute]:
        async def begin(request: Request) -> Response:
            return await asked_provider(request, ask, is_back=False)

        async def finish(request: Request) -> Response:
            return await asked_provider(request, ask, is_back=True)

        return [Route("/sign-in/openid", begin), Route(CALLBACK, finish)]

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
        *(() if provider is None else openid_routes(provider)),
        Mount("/static", TaggedFiles(directory=_STATIC)),
    ]


def _may_sign_in(request: Request, portals: Collection[str]) -> bool:
    """Whether a form may sign somebody in: any site could otherwise sign a reader in as somebody else."""
    if request.headers.get("sec-fetch-site") == "same-site" or is_same_origin(request):
        return True
    return request.headers.get("origin") in portals
