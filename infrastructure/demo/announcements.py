"""What a consumer reads out of RAS's messages: envelope and data, checked, and independent of their writer.

Nothing here is shared with the code that writes these messages: a mistake there must show up here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from domain.values import BatchStatus
from infrastructure.demo.observer import HeardRecord


class PhaseCounts(BaseModel):
    """One entry of `phase_results`."""

    status: Literal["completed", "completed_with_failures"]
    completed_count: int
    failed_count: int


class ResultsReady(BaseModel):
    """Data of huleedu.ras.batch.results.ready.v1."""

    batch_id: str
    user_id: str
    overall_status: BatchStatus
    total_essays: int
    completed_essays: int
    phase_results: dict[str, PhaseCounts]


class RankedEssay(BaseModel):
    """One entry of `rankings_summary`; `score` is the Bradley-Terry score."""

    essay_id: str
    rank: int
    score: float
    letter_grade: str


class AssessmentCompleted(BaseModel):
    """Data of huleedu.ras.batch.assessment.completed.v1."""

    batch_id: str
    user_id: str
    rankings_summary: list[RankedEssay]


class TeacherNotified(BaseModel):
    """Data of huleedu.notification.teacher.requested.v1."""

    teacher_id: str
    notification_type: Literal["batch_results_ready", "batch_assessment_completed", "batch_status_updated"]
    category: Literal["processing_results", "batch_progress"]
    priority: Literal["high", "standard"]
    action_required: Literal[False]
    batch_id: str
    payload: dict[str, Any]


class Envelope(BaseModel):
    """The envelope of every message that RAS publishes."""

    event_id: UUID
    event_type: str
    event_timestamp: AwareDatetime
    source_service: Literal["result_aggregator_service"]
    schema_version: Literal[1]
    correlation_id: UUID
    metadata: dict[str, Any] | None


class _ResultsReadyMessage(Envelope):
    event_type: Literal["huleedu.ras.batch.results.ready.v1"]
    data: ResultsReady


class _AssessmentCompletedMessage(Envelope):
    event_type: Literal["huleedu.ras.batch.assessment.completed.v1"]
    data: AssessmentCompleted


class _TeacherNotifiedMessage(Envelope):
    event_type: Literal["huleedu.notification.teacher.requested.v1"]
    data: TeacherNotified


Message = _ResultsReadyMessage | _AssessmentCompletedMessage | _TeacherNotifiedMessage
_MESSAGE: Final[TypeAdapter[Message]] = TypeAdapter(Annotated[Message, Field(discriminator="event_type")])


class UnreadableRecordError(ValueError):
    """A record that a consumer could not read; the text has its coordinates and what is wrong."""


def read(record: HeardRecord) -> Message:
    """Return what `record` says. Raises UnreadableRecordError."""
    where = f"{record.topic}/{record.partition}, offset {record.offset}"
    try:
        message = _MESSAGE.validate_json(record.value or b"")
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise UnreadableRecordError(f"{where}: {place or 'value'}: {problem['msg']}") from error
    if message.event_type != record.topic:
        raise UnreadableRecordError(f"{where}: the event type is {message.event_type}")
    if dict(record.headers).get("event_id", b"").decode() != str(message.event_id):
        raise UnreadableRecordError(f"{where}: the header event_id is not the envelope's {message.event_id}")
    addressee = (
        message.data.teacher_id if isinstance(message, _TeacherNotifiedMessage) else message.data.batch_id
    )
    if record.key != addressee.encode():
        raise UnreadableRecordError(f"{where}: the key is {record.key!r}, not {addressee}")
    return message


class Announced:
    """Everything that was said about one batch, in the order of its topics' partitions."""

    def __init__(self) -> None:
        self.ready: list[tuple[int, ResultsReady]] = []
        self.assessed: list[AssessmentCompleted] = []
        self.notified: list[TeacherNotified] = []

    def add(self, message: Message) -> None:
        """File one message."""
        match message:
            case _ResultsReadyMessage():
                self.ready.append((int((message.metadata or {}).get("revision", 0)), message.data))
            case _AssessmentCompletedMessage():
                self.assessed.append(message.data)
            case _TeacherNotifiedMessage():
                self.notified.append(message.data)

    @property
    def last_ready(self) -> ResultsReady | None:
        """The newest outcome that was announced, None if there was none."""
        return max(self.ready, key=lambda said: said[0])[1] if self.ready else None


def by_batch(messages: Iterable[Message]) -> dict[str, Announced]:
    """Return what was announced of each batch."""
    found: dict[str, Announced] = {}
    for message in messages:
        found.setdefault(message.data.batch_id, Announced()).add(message)
    return found
