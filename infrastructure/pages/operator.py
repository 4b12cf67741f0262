"""The operator's pages about RAS as a whole: status, checks and rebuilds, outbox, search by any id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from infrastructure.check.background_runs import CheckRuns, RunUnderWayError
from infrastructure.http.identity import OPERATOR, Identity
from infrastructure.http.operators.accounts import ReadOutbox
from infrastructure.pages.forms import form_of
from infrastructure.pages.rendering import Renderer, text_in
from infrastructure.pages.sparklines import Lags
from infrastructure.queries.pages import NEWEST_SEARCHED, PageQueries

_OUTBOX: Final = 50
_REBUILDS: Final = 20

ReadStatus = Callable[[], Awaitable[tuple[Sequence[Any], Sequence[str]]]]


class OperatorPages:
    """The pages, on what the commands and the operators' API answer from."""

    def __init__(
        self,
        renderer: Renderer,
        status: ReadStatus,
        outbox: ReadOutbox,
        pages: PageQueries,
        checks: CheckRuns,
    ) -> None:
        self._renderer = renderer
        self._status = status
        self._outbox = outbox
        self._pages = pages
        self._checks = checks
        self._lags = Lags()

    def routes(self) -> list[Route]:
        """Return the routes."""

        def guarded(page: Any) -> Any:
            return self._renderer.guarded(OPERATOR, page)

        return [
            Route("/operator", guarded(self.status)),
            Route("/operator/checks", guarded(self.checks), methods=["GET", "POST"]),
            Route("/operator/outbox", guarded(self.outbox)),
            Route("/operator/search", guarded(self.search)),
        ]

    async def status(self, request: Request, identity: Identity) -> Response:
        """How far every reader is."""
        rows, faults = await self._status()
        return self._renderer.page(
            request,
            "status.html",
            identity,
            title="Status",
            rows=[{**asdict(row), "lags": self._lags.noted(row.role, row.source, row.lag)} for row in rows],
            faults=faults,
            refresh_s=2,
        )

    async def checks(self, request: Request, identity: Identity) -> Response:
        """Checks of everything, and rebuilds of read models: those under way and the last ones."""
        if request.method == "POST":
            form = await form_of(request)
            if form.get("action") == "cancel":
                await self._checks.cancel(str(form.get("run_id", "")))
            else:
                with suppress(
                    RunUnderWayError
                ):  # pressed twice, or by two operators: the page shows that check
                    await self._checks.begin()
            return RedirectResponse("/operator/checks", status_code=303)
        return self._renderer.page(
            request,
            "checks.html",
            identity,
            title="Checks and rebuilds",
            runs=self._checks.newest_first(),
            rebuilds=await self._pages.rebuilds(limit=_REBUILDS),
            refresh_s=2,
        )

    async def outbox(self, request: Request, identity: Identity) -> Response:
        """What is about to be published, and what was."""
        return self._renderer.page(
            request, "outbox.html", identity, title="Outbox", outbox=await self._outbox(_OUTBOX)
        )

    async def search(self, request: Request, identity: Identity) -> Response:
        """Whatever has an id."""
        text = text_in(request, "q", most=255).strip()
        found = await self._pages.found(text) if text else []
        return self._renderer.page(
            request, "search.html", identity, title="Search", text=text, found=found, newest=NEWEST_SEARCHED
        )
