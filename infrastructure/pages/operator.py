"""The operator's pages: status, dead letters, parked messages, checks and rebuilds, outbox, search by any id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from application.queries import DeadLetterQueries, LetterFilter
from infrastructure.check.background_runs import CheckRuns, RunUnderWayError
from infrastructure.http.identity import OPERATOR, Identity
from infrastructure.http.operators.accounts import ReadOutbox
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.problems import Problem
from infrastructure.pages.rendering import Renderer, number_in
from infrastructure.pages.sparklines import Lags
from infrastructure.queries.pages import NEWEST_SEARCHED, PAGE, PageQueries

_LONGEST: Final = 500
_OUTBOX: Final = 50
_REBUILDS: Final = 20

ReadStatus = Callable[[], Awaitable[tuple[Sequence[Any], Sequence[str]]]]


class OperatorPages:
    """The pages, on what the commands and the operators' API answer from."""

    def __init__(
        self,
        renderer: Renderer,
        status: ReadStatus,
        letters: DeadLetterQueries,
        actions: OperatorActions,
        outbox: ReadOutbox,
        pages: PageQueries,
        checks: CheckRuns,
    ) -> None:
        self._renderer = renderer
        self._status = status
        self._letters = letters
        self._actions = actions
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
            Route("/operator/letters", guarded(self.letters)),
            Route("/operator/letters/{position:int}", guarded(self.letter), methods=["GET", "POST"]),
            Route("/operator/parked", guarded(self.parked), methods=["GET", "POST"]),
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

    async def letters(self, request: Request, identity: Identity) -> Response:
        """Dead letters, newest first."""
        query = request.query_params
        wanted = LetterFilter(
            reason=query.get("reason") or None,
            topic=query.get("topic") or None,
            state=query.get("state", "open") or None,
        )
        body = await self._letters.letters(wanted, limit=PAGE, before=number_in(request, "cursor"))
        return self._renderer.page(
            request,
            "letters.html",
            identity,
            title="Dead letters",
            letters=body["dead_letters"],
            next_cursor=body["next_cursor"],
            wanted=wanted,
        )

    async def letter(self, request: Request, identity: Identity) -> Response:
        """One dead letter, and what can be done with it."""
        position = request.path_params["position"]
        letter = await self._letters.letter(position)
        if letter is None:
            raise Problem(404, "There is no such dead letter.")
        if request.method == "POST":
            form = await request.form(max_fields=5)
            if form.get("action") == "retry":
                await self._actions.retry(letter["stream_id"], by=identity.subject)
            else:
                why = str(form.get("why", "")).strip()
                if not 1 <= len(why) <= _LONGEST or not why.isprintable():
                    raise Problem(400, f"Give a reason of 1 to {_LONGEST} characters, on one line.")
                await self._actions.discard(letter["stream_id"], by=identity.subject, why=why)
            return RedirectResponse(f"/operator/letters/{position}", status_code=303)
        return self._renderer.page(request, "letter.html", identity, title="Dead letter", letter=letter)

    async def parked(self, request: Request, identity: Identity) -> Response:
        """Streams in which messages wait for a fix."""
        if request.method == "POST":
            form = await request.form(max_fields=5)
            await self._actions.drain(str(form.get("stream_id", "")), by=identity.subject)
            return RedirectResponse("/operator/parked", status_code=303)
        body = await self._letters.parked()
        return self._renderer.page(
            request,
            "parked.html",
            identity,
            title="Parked messages",
            parked=body["parked"],
            unsent=body["unsent"],
        )

    async def checks(self, request: Request, identity: Identity) -> Response:
        """Checks of everything, and rebuilds of read models: those under way and the last ones."""
        if request.method == "POST":
            form = await request.form(max_fields=5)
            if form.get("action") == "cancel":
                await self._checks.cancel(str(form.get("run_id", "")))
            else:
                try:
                    await self._checks.begin()
                except RunUnderWayError as error:
                    raise Problem(409, str(error)) from error
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
        text = request.query_params.get("q", "").strip()[:255].replace("\0", "")
        found = await self._pages.found(text) if text else []
        return self._renderer.page(
            request, "search.html", identity, title="Search", text=text, found=found, newest=NEWEST_SEARCHED
        )
