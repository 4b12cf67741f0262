"""Which dead letters a request is about."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from application.letter_filter import REASONS, ImpossibleFilterError, letter_filter
from application.queries import LetterFilter
from application.topics import INPUT_TOPICS
from infrastructure.http.parameters import Parameter
from infrastructure.http.problems import Problem

_TIME: Final = {"type": "string", "format": "date-time"}

REASON: Final = Parameter("reason", "Only of this reason", {"type": "string", "enum": [*REASONS]})
TOPIC: Final = Parameter("topic", "Only of this topic", {"type": "string", "enum": [*INPUT_TOPICS]})
SINCE: Final = Parameter("since", "Only received at this time or later", _TIME)
UNTIL: Final = Parameter("until", "Only received before this time", _TIME)
FILTERS: Final = (REASON, TOPIC, SINCE, UNTIL)


def letters_wanted(request: Request, *, state: str | None = None) -> LetterFilter:
    """Return the filter that the query names. Raises Problem 400 where nothing can fit it."""
    try:
        return letter_filter(
            reason=REASON.text(request),
            topic=TOPIC.text(request),
            since=SINCE.text(request),
            until=UNTIL.text(request),
            state=state or "",
        )
    except ImpossibleFilterError as error:
        raise Problem(400, f"{error.name}: {error}.") from error
