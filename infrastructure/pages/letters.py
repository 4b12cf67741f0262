"""The operator's pages about messages that were not ingested: dead letters, one of them, and what is parked."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from application.queries import DeadLetterQueries, LetterFilter
from application.responses.dead_letters import DeadLetter
from application.settle import LARGEST_CORRECTION
from application.short_text import SHORT_TEXT, is_short_text
from infrastructure.http.identity import OPERATOR, Identity
from infrastructure.http.operators.actions import OperatorActions
from infrastructure.http.operators.dead_letters import a_letter
from infrastructure.http.problems import Problem
from infrastructure.pages.forms import form_of
from infrastructure.pages.rendering import Renderer, number_in, text_in
from infrastructure.queries.pages import PAGE

_LARGEST_IN_A_FIELD: Final = 1_000_000
"""Bytes of a message that is offered for editing: with more of them browsers become slow."""
_LARGEST_FORM: Final = 2 * LARGEST_CORRECTION + 100_000
"""A corrected message in a file, the one that was offered in the field beside it, and what is around them."""

_DONE: Final[Mapping[str, str]] = {"retry": "retried", "discard": "discarded"}
"""The state to which an action leads that says the same each time; a correction may be another one."""
_NOTHING_TYPED: Final[Mapping[str, str]] = {"why_replaced": "", "why_discarded": ""}


class LetterPages:
    """The pages. `shown` returns when they show what was just changed, or after a few seconds."""

    def __init__(
        self,
        renderer: Renderer,
        letters: DeadLetterQueries,
        actions: OperatorActions,
        shown: Callable[[], Awaitable[None]],
    ) -> None:
        self._renderer = renderer
        self._letters = letters
        self._actions = actions
        self._shown = shown

    def routes(self) -> list[Route]:
        """Return the routes."""

        def guarded(page: Any) -> Any:
            return self._renderer.guarded(OPERATOR, page)

        one = "/operator/letters/{position:int}"
        return [
            Route("/operator/letters", guarded(self.letters)),
            Route(one, guarded(self.letter), methods=["GET", "POST"]),
            Route(one + "/message", guarded(self.message)),
            Route("/operator/parked", guarded(self.parked), methods=["GET", "POST"]),
        ]

    async def letters(self, request: Request, identity: Identity) -> Response:
        """Dead letters, newest first."""
        wanted = LetterFilter(
            reason=text_in(request, "reason") or None,
            topic=text_in(request, "topic") or None,
            state=text_in(request, "state", absent="open") or None,
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
        """One dead letter, and what can be done with it. A refused form comes back with what was typed."""
        letter = await self._named(request)
        if request.method != "POST":
            return self._one(request, identity, letter)
        form = await form_of(request, most=_LARGEST_FORM)
        try:
            correction = await _correction(form)
        finally:
            await form.close()
        try:
            await self._settle(a_letter(letter), form, correction, by=identity.subject)
        except Problem as problem:
            if problem.status == 409:
                await self._shown()
            letter = await self._named(request)
            asked = _DONE.get(str(form.get("action")))
            if problem.status == 409 and (letter["state"], letter["changed_by"]) == (asked, identity.subject):
                return RedirectResponse(request.url.path, status_code=303)  # pressed twice: done by the first
            typed = {name: str(form.get(name, "")) for name in _NOTHING_TYPED}
            if correction is not None and (text := _editable(correction)) is not None:
                typed["message"] = text
            return self._one(request, identity, letter, problem, typed)
        await self._shown()
        return RedirectResponse(request.url.path, status_code=303)

    async def message(self, request: Request, identity: Identity) -> Response:
        """The bytes of a dead letter, to keep and to correct."""
        del identity
        letter = await self._named(request)
        return Response(
            b64decode(letter["value"] or ""),
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="dead-letter-{letter["position"]}.json"'},
        )

    async def parked(self, request: Request, identity: Identity) -> Response:
        """Streams in which messages wait for a fix."""
        stuck = None
        if request.method == "POST":
            form = await form_of(request)
            drained = await self._actions.drain(str(form.get("stream_id", "")), by=identity.subject)
            await self._shown()
            if not drained.left:
                return RedirectResponse("/operator/parked", status_code=303)
            stuck = drained
        body = await self._letters.parked()
        return self._renderer.page(
            request,
            "parked.html",
            identity,
            title="Parked messages",
            parked=body["parked"],
            unsent=body["unsent"],
            stuck=stuck,
        )

    async def _settle(self, letter: DeadLetter, form: FormData, correction: bytes | None, *, by: str) -> None:
        action, stream_id = form.get("action"), letter["stream_id"]
        if action == "retry":
            await self._actions.retry(stream_id, by=by)
        elif action == "replace":
            why = _why(form, "why_replaced", "Say what was corrected")
            if not correction:
                raise Problem(400, "Give the corrected message: edit it in the field, or choose a file.")
            await self._actions.replace(stream_id, correction, by=by, why=why)
        elif action == "discard":
            why = _why(form, "why_discarded", "Say why the message is discarded")
            await self._actions.discard(stream_id, by=by, why=why)
        else:
            raise Problem(400, "The form does not name what to do with the letter.")

    async def _named(self, request: Request) -> DeadLetter:
        letter = await self._letters.letter(request.path_params["position"])
        if letter is None:
            raise Problem(404, "There is no such dead letter.")
        return letter

    def _one(
        self,
        request: Request,
        identity: Identity,
        letter: DeadLetter,
        problem: Problem | None = None,
        typed: Mapping[str, str] = _NOTHING_TYPED,
    ) -> Response:
        text = _editable(b64decode(letter["value"] or ""))
        return self._renderer.page(
            request,
            "letter.html",
            identity,
            status=problem.status if problem else 200,
            title="Dead letter",
            letter=letter,
            refusal=problem and problem.detail,
            is_text=text is not None,
            typed={"message": text or "", **typed},
        )


def _why(form: FormData, field: str, request: str) -> str:
    why = str(form.get(field, "")).strip()
    if not is_short_text(why):
        raise Problem(400, f"{request}: {SHORT_TEXT}.")
    return why


async def _correction(form: FormData) -> bytes | None:
    """Return the corrected message: the file where one was chosen, else what is in the field."""
    file, text = form.get("file"), form.get("message")
    if isinstance(file, UploadFile) and file.filename:
        return await file.read()
    # What is no UTF-8, which only another program than a browser sends, stays so and is refused as such.
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else None


def _editable(value: bytes) -> str | None:
    """Return the text that a field can hold without changing it, None where the message is not one."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if len(value) <= _LARGEST_IN_A_FIELD and "\0" not in text else None
