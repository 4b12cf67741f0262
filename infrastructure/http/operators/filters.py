"""The filters of requests about dead letters."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from application.letter_filter import ID_PATTERN, LONGEST_ID, REASONS, ImpossibleFilterError, letter_filter
from application.queries import LetterFilter
from application.topics import INPUT_TOPICS
from domain.dead_letters import PARKED
from infrastructure.http.parameters import Parameter
from infrastructure.http.problems import Problem

_TIME: Final = {"type": "string", "format": "date-time"}
_ID: Final = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": ID_PATTERN}

REASON: Final = Parameter("reason", "Only of this reason", {"type": "string", "enum": [*REASONS]})
SETTLEABLE_REASON: Final = Parameter(
    "reason", "Only of this reason", {"type": "string", "enum": [each for each in REASONS if each != PARKED]}
)
TOPIC: Final = Parameter("topic", "Only of this topic", {"type": "string", "enum": [*INPUT_TOPICS]})
SINCE: Final = Parameter("since", "Only received at this time or later", _TIME)
UNTIL: Final = Parameter("until", "Only received before this time", _TIME)
BATCH: Final = Parameter(
    "batch",
    "Only messages that carry the id of this batch or of one of its essays; such a page may be empty and still "
    "have `next_cursor`",
    _ID,
)
ESSAY: Final = Parameter(
    "essay",
    "Only messages that carry the id of this essay",
    _ID,
)
_OTHERS: Final = (TOPIC, SINCE, UNTIL, BATCH, ESSAY)
FILTERS: Final = (REASON, *_OTHERS)
SETTLEABLE_FILTERS: Final = (SETTLEABLE_REASON, *_OTHERS)
"""Of orders for many: parked messages are drained in order instead."""


def letters_wanted(request: Request, *, state: str | None = None) -> LetterFilter:
    """Return the filter that the query names. Raises Problem 400 where nothing can fit it."""
    try:
        return letter_filter(
            reason=REASON.text(request),
            topic=TOPIC.text(request),
            since=SINCE.text(request),
            until=UNTIL.text(request),
            state=state or "",
            batch=BATCH.text(request),
            essay=ESSAY.text(request),
        )
    except ImpossibleFilterError as error:
        raise Problem(400, f"{error.name}: {error}.") from error
