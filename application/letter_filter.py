"""Reads a filter of dead letters, from the terminal or from a query string."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final

from application.queries import LetterFilter
from application.time_travel import moment
from application.topics import INPUT_TOPICS
from domain.dead_letters import PARKED, STATES, LetterState, Reason

REASONS: Final = (*(reason.value for reason in Reason), PARKED)
ANY_STATE: Final = "all"
LONGEST_ID: Final = 500
ID_PATTERN: Final = "^[^\\u0000]*[^\\u0000-\\u0020\\u007f-\\u00a0][^\\u0000]*$"
"""Not blank, and without NUL, in the regular expressions of JSON Schema and of Python."""
SELECTABLE_STATES: Final = (*STATES, ANY_STATE)


class ImpossibleFilterError(ValueError):
    """Nothing can fit; the text says what could, `name` which part of the filter it is."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


def letter_filter(
    *,
    reason: str | None = None,
    topic: str | None = None,
    state: str = LetterState.OPEN.value,
    since: str | None = None,
    until: str | None = None,
    batch: str | None = None,
    essay: str | None = None,
) -> LetterFilter:
    """Return the filter that the texts describe; `since` is included, `until` is not. Empty texts are none.

    Raises ImpossibleFilterError: a misspelt name would look like good news, an empty list.
    """
    for name, text, known in (
        ("reason", reason, REASONS),
        ("topic", topic, INPUT_TOPICS),
        ("state", state, SELECTABLE_STATES),
    ):
        _check(name, text, known)
    return LetterFilter(
        reason=reason or None,
        topic=topic or None,
        state=None if state == ANY_STATE else state or LetterState.OPEN.value,
        since=_time("since", since),
        until=_time("until", until),
        batch=_id("batch", batch),
        essay=_id("essay", essay),
    )


def _check(name: str, text: str | None, known: Collection[str]) -> None:
    if text and text not in known:
        raise ImpossibleFilterError(name, f"{text[:100]!r} is no {name}; there are {', '.join(known)}")


def _time(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else moment(text)
    except ValueError as error:
        raise ImpossibleFilterError(name, str(error)) from error


def _id(name: str, text: str | None) -> str | None:
    if text is not None and (len(text) > LONGEST_ID or re.match(ID_PATTERN, text) is None):
        raise ImpossibleFilterError(name, f"must be an id of 1 to {LONGEST_ID} characters")
    return text
