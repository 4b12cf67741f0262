"""Responses about a batch's past and its readiness."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from application.responses.kinds import Count, Place
from application.time_travel import By
from domain.readiness import Message
from domain.values import BatchStatus

UpstreamStatus = Annotated[
    BatchStatus, WithJsonSchema({"type": "string", "enum": [status.value for status in BatchStatus]})
]


class _Cause(TypedDict):
    topic: str
    partition: Count
    offset: Count
    event_id: str | None
    correlation_id: str | None


class HistoryEvent(TypedDict):
    """One event of a batch in plain words."""

    version: Annotated[Place, Field(description="The event's place in its stream")]
    notification_id: Annotated[Place, Field(description="Its place in the log of all")]
    event: Annotated[str, Field(description="The name under which it is stored")]
    text: Annotated[str, Field(description="What happened, in plain words")]
    happened_at: datetime | None
    recorded_at: datetime | None
    cause: Annotated[
        _Cause | None,
        Field(description="The message that caused it; null where the event cannot be read"),
    ]


class History(TypedDict):
    """A page of what happened to a batch."""

    batch_id: str
    as_of: datetime | None
    by: By | None
    events: list[HistoryEvent]
    next_cursor: str | None


class _EssayIds(TypedDict):
    count: Count
    essay_ids: list[str]


Essays = Annotated[_EssayIds, Field(description="How many, and the first of them; all with `all=true`")]


class _EssayCounts(TypedDict):
    expected: Count
    completed: Count
    failed: Count
    pending: Count
    unexpected: Essays


class _AssessedBy(TypedDict):
    job_id: str
    ranked: Count


class _Phase(TypedDict):
    phase: str
    required: bool
    completed: Count
    failed: Essays
    missing: Essays
    upstream_status: UpstreamStatus | None
    upstream_said_at: datetime | None


class _Awaited(TypedDict):
    message: Message
    phase: str | None
    count: Count
    topic: str


class _ParkedMessage(TypedDict):
    version: Count
    topic: str
    partition: Count
    offset: Count
    parked_at: datetime | None


class _ParkedMessages(TypedDict):
    count: Count
    messages: list[_ParkedMessage]


Phase = _Phase
ParkedMessages = _ParkedMessages
EssayIds = _EssayIds


class _PutAsideMessage(TypedDict):
    id: Count
    reason: str
    topic: str
    partition: Count
    offset: Count
    received_at: datetime
    detail: str
    command: Annotated[str, Field(description="What shows it, at a terminal")]


PutAsideMessage = _PutAsideMessage


class PutAside(TypedDict):
    """Open dead letters and parked messages that carry the id of the batch or of one of its essays."""

    messages: list[_PutAsideMessage]
    complete: Annotated[bool, Field(description="Whether there can be no other")]
    fault: Annotated[str | None, Field(description="Why they cannot be searched now")]
    command: Annotated[str, Field(description="What lists all, at a terminal")]


class Explanation(TypedDict):
    """Why a batch is ready or is not, by what is recorded of it."""

    batch_id: str
    position: Count
    state: Literal["ready", "not_ready", "not_registered", "unreadable"]
    is_ready: bool | None
    overall_status: UpstreamStatus | None
    announced_status: UpstreamStatus | None
    revision: Count | None
    essays: _EssayCounts | None
    pipeline_status: UpstreamStatus | None
    assessment: _AssessedBy | None
    phases: list[_Phase]
    awaited: list[_Awaited]
    parked: _ParkedMessages
    sentences: list[str]


class Readiness(Explanation):
    """Why a batch is ready or not, and which of its messages could not be ingested."""

    put_aside: PutAside
