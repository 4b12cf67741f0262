"""The messages of the live stream as types: what `ras asyncapi` describes. Tests hold real messages against it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, NotRequired

from typing_extensions import TypedDict

from domain.values import BatchStatus, ClientStatus


class _Sent(TypedDict):
    id: str
    """Opaque: resume from it."""


class _Notified(_Sent):
    category: Literal["processing_results", "batch_progress"]
    priority: Literal["high", "standard"]
    action_required: bool
    deadline: None
    batch_id: str
    class_id: str | None
    correlation_id: str | None
    timestamp: datetime


class StreamedResultsReady(_Notified):
    """The results of a batch are ready. It comes once."""

    notification_type: Literal["batch_results_ready"]
    notification_id: str
    total_essays: int
    completed_essays: int
    failed_essays: NotRequired[int]
    overall_status: BatchStatus
    client_status: NotRequired[ClientStatus]
    completed_at: NotRequired[datetime]
    processing_duration_seconds: float
    phase_results: dict[str, Any]
    message: str


class StreamedAssessmentCompleted(_Notified):
    """The essays of a batch are ranked. It comes once."""

    notification_type: Literal["batch_assessment_completed"]
    notification_id: str
    assessment_job_id: str
    rankings_available: bool
    rankings_count: int
    message: str


class StreamedBatchStatus(_Notified):
    """How a batch stands now. Only the newest state of each batch is sent, a few times per second."""

    notification_type: Literal["batch_status_updated"]
    status: ClientStatus
    total_essays: int
    completed_essays: int
    failed_essays: int
    processing_phase: str | None
    completed_at: datetime | None
    revision: int | None


class StreamedNotificationRead(_Sent):
    """A notification was marked as read, here or in another window."""

    notification_type: Literal["notification_read"]
    notification_id: str
    read_at: datetime


class StreamedNotificationsRead(_Sent):
    """After resuming: those of the newest 200 notifications that are read."""

    notification_type: Literal["notifications_read"]
    notification_ids: list[str]


class StreamReady(_Sent):
    """Everything missed has been sent; messages from here on are live."""

    notification_type: Literal["stream_ready"]


class Resync(_Sent):
    """The given id is not known: load everything, then resume from the id of this message."""

    notification_type: Literal["resync"]
    detail: str


class Reconnect(TypedDict):
    """The server stops: connect again after so many milliseconds."""

    notification_type: Literal["reconnect"]
    after_ms: int


class IdentityExpired(TypedDict):
    """The token has expired: connect with a new one, then resume. Server-sent events only; a socket gets 1008."""

    notification_type: Literal["identity_expired"]
    detail: str


class Pong(TypedDict):
    """Answers a ping. `cut_off` is there while the server cannot read what is new: nothing arrives until it can."""

    type: Literal["pong"]
    cut_off: NotRequired[Literal[True]]


class Ping(TypedDict):
    """Asks for a pong, so that a client finds out when its server has gone."""

    type: Literal["ping"]


class Resume(TypedDict):
    """Asks for what was missed since an id; without one, for the current id."""

    type: Literal["resume"]
    last_event_id: NotRequired[str | None]


STREAMED: Final = (
    StreamedResultsReady,
    StreamedAssessmentCompleted,
    StreamedBatchStatus,
    StreamedNotificationRead,
    StreamedNotificationsRead,
    StreamReady,
    Resync,
    Reconnect,
)
"""What both kinds of stream send."""

FROM_CLIENTS: Final = (Ping, Resume)
