"""What operators change over HTTP: letters tried again or discarded, parked messages drained.

Who did it stands in the trace: the operator that the body names (`by`), else the service that asked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from starlette.requests import Request

from application.drain import Drained, DrainParked, NoSuchStreamError, StillUnreadableError
from application.settle import Retried, SettleDeadLetters, UnknownLetterError, UnreadableLetterError
from domain.dead_letters import LetterSettledError
from infrastructure.http.problems import Problem

_MOST_BYTES: Final = 10_000
_LONGEST: Final = 500

_T = TypeVar("_T")


class OperatorActions:
    """The use cases, each opened when it is needed and run off the event loop; refusals are problems."""

    def __init__(self, settle: Callable[[], SettleDeadLetters], drain: Callable[[], DrainParked]) -> None:
        self._settle = settle
        self._drain = drain

    async def retry(self, stream_id: str, *, by: str) -> Retried:
        """Take the message of a letter in again."""
        return await _run(lambda: self._settle().retry(stream_id, by=by))

    async def discard(self, stream_id: str, *, by: str, why: str) -> None:
        """Give the message of a letter up."""
        await _run(lambda: self._settle().discard(stream_id, by=by, why=why))

    async def drain(self, stream_id: str, *, by: str) -> Drained:
        """Take in what waits in a stream."""
        return await _run(lambda: self._drain()(stream_id, by=by))


async def _run(work: Callable[[], _T]) -> _T:
    try:
        return await asyncio.to_thread(work)
    except UnknownLetterError as error:
        raise Problem(404, str(error), error="Dead letter not found") from error
    except NoSuchStreamError as error:
        raise Problem(404, str(error), error="Stream not found") from error
    except (LetterSettledError, UnreadableLetterError, StillUnreadableError) as error:
        raise Problem(409, str(error)) from error


async def read_body(request: Request, *members: str) -> dict[str, Any]:
    """Return the JSON object in the body, {} for none. Raises Problem 400 for anything else, and for other `members`.

    A misspelt member would be ignored, and the order be carried out without it.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BYTES:
            raise Problem(400, f"The body is longer than {_MOST_BYTES:,} bytes.")
    try:
        body = json.loads(content) if content else {}
    except (ValueError, RecursionError) as error:
        raise Problem(400, "The body is no JSON.") from error
    if not isinstance(body, dict):
        raise Problem(400, "The body must be a JSON object.")
    if unknown := [name for name in body if name not in members]:
        there_are = f"there are {', '.join(members)}" if members else "there is none here"
        raise Problem(400, f"There is no member {', '.join(unknown)[:200]!r}: {there_are}.")
    return body


def operator_id(request: Request, body: dict[str, Any]) -> str:
    """Return who gives the order."""
    return short_text(body, "by") if "by" in body else str(request.headers["x-service-id"])


def short_text(body: dict[str, Any], name: str) -> str:
    """Return a short text of the body. Raises Problem 400 where it is missing, empty, too long or no text."""
    text = body.get(name)
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST:
        raise Problem(400, f"{name} must be a text of 1 to {_LONGEST} characters.")
    if not text.isprintable():
        raise Problem(400, f"{name} must be printable, on one line.")
    return text
