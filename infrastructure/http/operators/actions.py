"""What operators change over HTTP: letters retried, replaced or discarded, parked messages drained."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from application.drain import Drained, DrainParked, NoSuchStreamError, StillUnreadableError
from application.settle import (
    RefusedCorrectionError,
    Retried,
    SettleDeadLetters,
    UnknownLetterError,
    UnreadableLetterError,
)
from domain.dead_letters import LetterSettledError, RetryOutcome
from infrastructure.http.problems import Problem

_T = TypeVar("_T")


class OperatorActions:
    """The use cases, each opened when it is needed and run off the event loop; refusals are problems."""

    def __init__(self, settle: Callable[[], SettleDeadLetters], drain: Callable[[], DrainParked]) -> None:
        self._settle = settle
        self._drain = drain

    async def retry(self, stream_id: str, *, by: str) -> Retried:
        """Take the message of a letter in again."""
        return await _run(lambda: self._settle().retry(stream_id, by=by))

    async def replace(self, stream_id: str, value: bytes, *, by: str, why: str) -> RetryOutcome:
        """Ingest a corrected message in place of a letter's."""
        return await _run(lambda: self._settle().replace(stream_id, value, by=by, why=why))

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
    except RefusedCorrectionError as error:
        raise Problem(422, f"The corrected message is refused. {error}") from error
    except (LetterSettledError, UnreadableLetterError, StillUnreadableError) as error:
        raise Problem(409, str(error)) from error
