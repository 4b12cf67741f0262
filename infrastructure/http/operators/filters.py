"""The filters of requests about dead letters."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from application.letter_filter import LONGEST_ID, REASONS, ImpossibleFilterError, letter_filter
from application.queries import LetterFilter
from application.topics import INPUT_TOPICS
from infrastructure.http.parameters import Parameter
from infrastructure.http.problems import Problem

_TIME: Final = {"type": "string", "format": "date-time"}

REASON: Final = Parameter("reason", "Only of this reason", {"type": "string", "enum": [*REASONS]})
TOPIC: Final = Parameter("topic", "Only of this topic", {"type": "string", "enum": [*INPUT_TOPICS]})
SINCE: Final = Parameter("since", "Only received at this time or later", _TIME)
UNTIL: Final = Parameter("until", "Only received before this time", _TIME)
BATCH: Final = Parameter(
    "batch",
    "Only messages that carry the id of this batch or of one of its essays; such a page may be empty and still "
    "have `next_cursor`",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
)
ESSAY: Final = Parameter(
    "essay",
    "Only messages that carry the id of this essay",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_ID},
)
FILTERS: Final = (REASON, TOPIC, SINCE, UNTIL)


def letters_wanted(request: Request, *, state: str | None = None, by_id: bool = False) -> LetterFilter:
    """Return the filter that the query names, with `by_id` also by ids. Raises Problem 400 where nothing can fit it."""
    try:
        return letter_filter(
            reason=REASON.text(request),
            topic=TOPIC.text(request),
            since=SINCE.text(request),
            until=UNTIL.text(request),
            state=state or "",
            batch=BATCH.text(request) if by_id else None,
            essay=ESSAY.text(request) if by_id else None,
        )
    except ImpossibleFilterError as error:
        raise Problem(400, f"{error.name}: {error}.") from error
