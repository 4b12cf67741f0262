"""From data to pages: templates with autoescape, the reader's language, and the policy that every page has."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import psycopg
import structlog
from babel.core import negotiate_locale
from babel.dates import format_datetime, get_timezone
from babel.numbers import format_decimal, format_percent
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from infrastructure.eventstore.store import TRANSIENT_ERRORS
from infrastructure.http.identity import Identity, InvalidTokenError
from infrastructure.http.problems import Problem
from infrastructure.http.sessions import Sessions
from infrastructure.live.access import is_same_origin
from infrastructure.pages.forms import form_of
from infrastructure.pages.swedish import SWEDISH
from infrastructure.pages.swedish_sentences import in_swedish
from infrastructure.postgres.read_models import ReadModelUnavailableError

_log = structlog.get_logger(__name__)

_FOLDER: Final = Path(__file__).parent
LANGUAGE_COOKIE: Final = "ras_language"
LANGUAGES: Final = ("en", "sv")
_DIGITS: Final = 18
_NOTHING: Final = "\N{EN DASH}"
_ZONE: Final = get_timezone("Europe/Stockholm")
_LARGEST_KEPT: Final = 1_200_000
"""Of a form that is kept: what a field for a message may hold, and what is around it."""
_UNAVAILABLE: Final = (psycopg.Error, *TRANSIENT_ERRORS, ReadModelUnavailableError)

Page = Callable[[Request, Identity], Awaitable[Response]]


@cache
def _environment(language: str) -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def worded(text: str, **values: Any) -> str:
        shown = {
            name: format_decimal(value, locale=language) if isinstance(value, int) else value
            for name, value in values.items()
        }
        return translated(language, text).format(**shown)

    made.globals["_"] = worded
    made.filters["moment"] = lambda value: _moment(value, language)
    made.filters["number"] = lambda value, digits=0: (
        _NOTHING
        if value is None
        else format_decimal(value, f"#,##0.{'0' * digits}" if digits else "#,##0", locale=language)
    )
    made.filters["percent"] = lambda value: format_percent(value, locale=language)
    made.filters["breakable"] = lambda name: Markup("<wbr>").join(re.split(r"(?<=[./])", name))
    made.filters["code"] = _with_code
    made.filters["unbroken"] = lambda text: re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
    made.filters["said"] = lambda text: _said(language, text)
    return made


def _with_code(text: str) -> Markup:
    """Return a text in which what is between backticks is shown as code."""
    plain, code = Markup("{}"), Markup("<code>{}</code>")
    parts = ((code if number % 2 else plain).format(part) for number, part in enumerate(text.split("`")))
    return Markup("").join(parts)


def _said(language: str, text: str) -> Markup | str:
    """Return what RAS or another service said while it worked, in the reader's language or marked as English."""
    if language == "en" or not text:
        return text
    return in_swedish(text) or Markup('<span lang="en">{}</span>').format(text)


def translated(language: str, text: str) -> str:
    """Return `text` in a language; English is what is in the source."""
    return SWEDISH[text] if language == "sv" else text


def _moment(value: Any, language: str) -> str:
    if value is None:
        return _NOTHING
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return format_datetime(moment, "medium", tzinfo=_ZONE, locale=language)


def language_of(request: Request) -> str:
    """Return the language that the reader chose, or that the browser asks for."""
    chosen = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    asked = [
        part.split(";")[0].strip().replace("-", "_")
        for part in request.headers.get("accept-language", "").split(",")
    ]
    return negotiate_locale(asked, LANGUAGES) or "en"


class Renderer:
    """Renders pages, and guards them: who is not signed in, or has not the role, does not see them."""

    def __init__(self, sessions: Sessions, *, heartbeat_s: float, has_provider: bool = False) -> None:
        self._sessions = sessions
        self._heartbeat_s = heartbeat_s
        self._has_provider = has_provider

    def page(
        self,
        request: Request,
        template: str,
        identity: Identity | None = None,
        *,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """Return a page."""
        language = language_of(request)
        nonce = secrets.token_urlsafe(16)
        content = (
            _environment(language)
            .get_template(template)
            .render(
                {"live_id": None, "unread": None, "title": "", **values},
                request=request,
                identity=identity,
                language=language,
                nonce=nonce,
                has_provider=self._has_provider,
                heartbeat_s=self._heartbeat_s,
            )
        )
        response = HTMLResponse(
            content, status_code=status, headers={"Content-Security-Policy": _policy(nonce)}
        )
        if request.query_params.get("lang") in LANGUAGES:
            response.set_cookie(
                LANGUAGE_COOKIE,
                language,
                max_age=31_536_000,
                httponly=True,
                samesite="lax",
                secure=self._sessions.secure,
                path="/",
            )
        if identity is not None:
            self._sessions.renew(request, response, identity)
        return response

    def guarded(self, role: str, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that answers people with `role`; to others the address does not exist."""

        async def endpoint(request: Request) -> Response:
            identity = self._sessions.identity(request)
            if identity is None:
                if request.method == "POST" and is_same_origin(request):
                    return await self._signed_out(request)
                return RedirectResponse("/sign-in", status_code=303)
            if role not in identity.roles:
                return self.fault(request, 404, identity)
            if request.method == "POST" and not is_same_origin(request):
                return self.fault(request, 403, identity)
            return await self.answered(request, identity, lambda: page(request, identity))

        return endpoint

    async def _signed_out(self, request: Request) -> Response:
        """Return a page that keeps a form whose sender's session has ended meanwhile."""

        async def work() -> Response:
            fields = await _whole_form(request)
            return self.page(
                request, "session_over.html", status=401, title="You were signed out", fields=fields
            )

        return await self.answered(request, None, work)

    async def answered(
        self, request: Request, identity: Identity | None, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return what `work` returns, or the page for what went wrong."""
        try:
            return await work()
        except InvalidTokenError as error:
            return self.page(request, "sign_in.html", status=401, title="Sign in", reason=str(error))
        except Problem as problem:
            return self.fault(request, problem.status, identity, detail=problem.detail)
        except HTTPException as error:  # a form that is none
            return self.fault(request, error.status_code, identity, detail=error.detail)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except _UNAVAILABLE as error:
            _log.warning("pages.database", error=type(error).__name__)
            return self.fault(request, 503, identity)
        except Exception as error:  # noqa: BLE001 - the reader gets a page, the log gets the fault
            _log.error("pages.fault", exc_info=error)
            return self.fault(request, 500, identity)

    def fault(
        self, request: Request, status: int, identity: Identity | None = None, *, detail: str | None = None
    ) -> Response:
        """Return the page for what is not there, not allowed, or does not work just now."""
        heading, text = _FAULTS.get(status, _FAULTS[500])
        response = self.page(
            request,
            "fault.html",
            identity,
            status=status,
            title=heading,
            # What is not there is named by the detail; the general text would contradict that of a report to come.
            text=text if status != 404 or detail is None else "",
            detail=detail,
            was_sent=request.method == "POST" and status >= 500,
            **({"refresh_s": 5} if status == 503 and request.method == "GET" else {}),
        )
        if status == 503:
            response.headers["Retry-After"] = "5"
        return response


_FAULTS: Final = {
    400: ("That did not work", "Something in the address or the form makes no sense here."),
    403: ("Not from here", "This can only be done on the page itself. Go back and try again."),
    404: ("Nothing here", "There is no such page, or it belongs to somebody else."),
    409: ("That did not work", "It was changed in the meantime, or cannot be done now."),
    413: ("That did not work", "What was sent is too large."),
    500: ("Something went wrong", "The fault is ours and is in our log. Nothing is lost."),
    503: (
        "RAS cannot reach its database",
        "Nothing is lost. Results are recorded and appear here as soon as the database answers.",
    ),
}


async def _whole_form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form, none where they are too long, or not all: without its file a form says something else."""
    try:
        form = await form_of(request, most=_LARGEST_KEPT)
    except Problem:
        return []
    given = form.multi_items()
    await form.close()
    fields = [(name, value) for name, value in given if isinstance(value, str)]
    return fields if all(isinstance(value, str) or not value.filename for _, value in given) else []


def _policy(nonce: str) -> str:
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types ras"
    )


def text_in(request: Request, name: str, *, most: int | None = None, absent: str = "") -> str:
    """Return a text from the query, its first `most` characters, without NUL: no text in the database holds one."""
    return request.query_params.get(name, absent)[:most].replace("\0", "")


def number_in(request: Request, name: str) -> int | None:
    """Return a whole number from the query, None where there is none. Raises Problem 400 for anything else."""
    given = request.query_params.get(name)
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > _DIGITS:
        raise Problem(400, f"{name} must be a whole number.")
    return int(given)
