"""Responses about dead letters and parked messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from application.responses.kinds import Base64, Count
from domain.dead_letters import STATES, LetterState, RetryOutcome

_INGESTED: Final = WithJsonSchema(
    {"type": "string", "enum": [each for each in RetryOutcome if each is not RetryOutcome.REFUSED]}
)

NOT_POSSIBLE: Final = "not_possible"
"""The outcome of a letter that another order has settled meanwhile, or that this release cannot read."""


class DeadLetterSummary(TypedDict):
    """A dead letter without its bytes."""

    position: Count
    stream_id: str
    reason: str
    detail: str
    topic: str
    partition: Count
    offset: Count
    received_at: datetime
    state: Annotated[str, WithJsonSchema({"type": "string", "enum": list(STATES)})]
    attempts: Count
    changed_at: datetime | None
    changed_by: str | None
    note: str | None


Header = Annotated[list[str], Field(min_length=2, max_length=2)]
"""Name, and value in base64."""


class DeadLetter(DeadLetterSummary):
    """A dead letter with its bytes."""

    stream_version: Count
    key: Base64 | None
    value: Base64 | None
    headers: list[Header]


class DeadLetterPage(TypedDict):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetterSummary]
    next_cursor: str | None


class DeadLetters(DeadLetterPage):
    """A page of dead letters, and what an order for all of them has to name."""

    settleable: Annotated[
        Count,
        Field(
            description="How many fit the filters, are open and not parked: `expected` of an order for all of them"
        ),
    ]


class LetterOutcome(TypedDict):
    """What an order came to for one letter."""

    outcome: Annotated[
        RetryOutcome | LetterState | Literal["not_possible"],
        WithJsonSchema({"type": "string", "enum": [*RetryOutcome, LetterState.DISCARDED, NOT_POSSIBLE]}),
    ]
    reason: str | None
    detail: str | None


class Replaced(TypedDict):
    """What came of a corrected message."""

    outcome: Annotated[
        RetryOutcome, Field(description="`repeated`: RAS had ingested the same content before"), _INGESTED
    ]


class _SettledLetter(LetterOutcome):
    position: Count


SettledLetter = _SettledLetter


class SettledLetters(TypedDict):
    """What one piece of an order for many letters came to."""

    outcomes: dict[str, Count]
    letters: list[SettledLetter]
    left: Annotated[Count, Field(description="How many are behind this piece: `expected` of the next")]
    next_cursor: str | None


class _ParkedStream(TypedDict):
    stream_id: str
    waiting: Count
    first_position: Count
    since: datetime
    fault: str


ParkedStream = _ParkedStream


class _Unsent(TypedDict):
    topic: str
    key: str
    stream_id: Annotated[str, Field(description="Of the event whose message the topic refuses")]
    waiting: Annotated[Count, Field(description="That message and those behind it under the same key")]
    first_position: Count
    since: datetime
    fault: str


Unsent = _Unsent


class Parked(TypedDict):
    """The streams in which messages wait to be ingested, and the messages that wait to be published."""

    parked: list[_ParkedStream]
    unsent: list[_Unsent]


class Drained(TypedDict):
    """What draining a stream came to."""

    outcomes: dict[str, Count]
    left: Count
    fault: str | None
