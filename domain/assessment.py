"""A comparative-judgement job: what its judges decided, and the result that upstream drew from it.

Theory of operation. A judge's answer is known by its request id. Upstream sends an answer again as it is,
or, rarely, another answer to the same request; the one that was completed later stands. Two that were
completed at the same moment are ordered by their content: a decision outranks a failure, and between two
of a kind a digest decides. So the same answers leave the same state in whichever order they arrive. A pair
that is judged again comes under a new request id and is a new decision. Of results the one assessed later
stands; of two of the same moment the first, as on the side of the batch.

A job may hold tens of thousands of answers, and its messages have no key, so several ingesters write to it
all the time. Nothing here may therefore cost more in a large job than in a small one: what is known of a
request is looked up, never searched for, and decisions are made on a *draft* that shares what is recorded
and holds only what is new. A draft whose events could not be stored is dropped; the aggregate behind it
still says what the store says, and needs only the events that others have added since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, NamedTuple, Self

from pydantic_core import to_json

from domain.aggregate import DomainEvent
from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.batch_events import MessageDrained, MessageParked
from domain.parking import ParkableStream
from domain.values import Causation, Details, EssayResult

ASSESSMENT_STREAMS: Final = "assessment-"
"""How the ids of these streams begin."""
_DIGEST_BYTES: Final = 16
_CONTENT: Final[Mapping[type[DomainEvent], Callable[[Mapping[str, Any]], tuple[Any, ...]]]] = {
    event_class: itemgetter(
        *sorted({f.name for f in fields(event_class)} - {f.name for f in fields(DomainEvent)})
    )
    for event_class in (JudgeDecisionRecorded, JudgeDecisionFailed)
}
"""What an answer says, in a fixed order: everything but its place in the stream, its time and its cause."""


def assessment_stream_id(job_id: str) -> str:
    """Return the id of the stream in which the comparative-judgement job `job_id` is recorded."""
    return ASSESSMENT_STREAMS + job_id


def job_id_of(stream_id: str) -> str:
    """Return the job whose stream `stream_id` is."""
    return stream_id.removeprefix(ASSESSMENT_STREAMS)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a judge was asked, and what asking took; the fields are those of the events."""

    batch_id: str | None
    request_id: str
    essay_a_id: str
    essay_b_id: str
    judge: str | None
    provider: str
    model: str
    response_time_ms: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cost: float
    requested_at: datetime
    request_metadata: Details


class Answer(NamedTuple):
    """The rank of one answer among all to the same request: the greatest stands."""

    completed_at: datetime
    is_decision: bool
    digest: bytes


@dataclass(slots=True)
class AssessmentState:
    """The fold of a job's events: what is settled, and what is drafted on top of it."""

    settled: dict[str, Answer] = field(default_factory=dict)
    drafted: dict[str, Answer] = field(default_factory=dict)
    assessed_at: datetime | None = None
    parked_messages: int = 0

    def draft(self) -> AssessmentState:
        """Return a state that shares what is settled and takes what is new for itself."""
        return AssessmentState(self.settled, {}, self.assessed_at, self.parked_messages)


class AssessmentAggregate(ParkableStream):
    """One job. Commands take upstream's time of the fact and the message that told it."""

    def __init__(self, stream_id: str, state: AssessmentState | None = None) -> None:
        super().__init__(stream_id)
        self._state = state or AssessmentState()

    # What readers may ask.

    @property
    def is_parked(self) -> bool:
        """Whether messages wait here for a fix of our own code."""
        return self._state.parked_messages > 0

    @property
    def size(self) -> int:
        """How many requests the aggregate holds in memory."""
        return len(self._state.settled) + len(self._state.drafted)

    @property
    def assessed_at(self) -> datetime | None:
        """The time of the result that stands, None while there is none."""
        return self._state.assessed_at

    def standing_answer(self, request_id: str) -> Answer | None:
        """Return the rank of the answer that stands for a request, None if there is none yet."""
        return self._state.drafted.get(request_id) or self._state.settled.get(request_id)

    # Drafts.

    def draft(self) -> Self:
        """Return an aggregate to decide on, at the cost of what is new and not of what is known.

        One draft at a time: it shares what is settled with the aggregate behind it.
        """
        draft = type(self)(self.id, self._state.draft())
        draft.version = self.version
        return draft

    def settle(self) -> None:
        """Take everything as recorded. The aggregate behind a draft is then of no more use."""
        self._state.settled.update(self._state.drafted)
        self._state.drafted.clear()

    # Commands.

    def record_decision(
        self,
        comparison: Comparison,
        *,
        winner: Side,
        justification: str | None,
        confidence: float | None,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take a judge's decision; `happened_at` is when the answer was complete."""
        answer = {"winner": winner, "justification": justification, "confidence": confidence}
        self._take(JudgeDecisionRecorded, vars(comparison) | answer, happened_at, causation)

    def record_failure(
        self,
        comparison: Comparison,
        *,
        error_code: str,
        error: Details,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take upstream's word that a judge gave no decision."""
        answer = {"error_code": error_code, "error": error}
        self._take(JudgeDecisionFailed, vars(comparison) | answer, happened_at, causation)

    def record_result(
        self,
        *,
        batch_id: str,
        assignment_id: str | None,
        method: str,
        model_used: str,
        model_provider: str,
        model_version: str | None,
        results: tuple[EssayResult, ...],
        metadata: Details,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Take the job's result; `happened_at` is its `assessed_at`."""
        if self.assessed_at is not None and happened_at <= self.assessed_at:
            return
        self.trigger_event(
            AssessmentResultRecorded,
            batch_id=batch_id,
            assignment_id=assignment_id,
            method=method,
            model_used=model_used,
            model_provider=model_provider,
            model_version=model_version,
            results=results,
            metadata=metadata,
            happened_at=happened_at,
            causation=causation,
        )

    def _take(
        self,
        event_class: type[JudgeDecisionRecorded | JudgeDecisionFailed],
        facts: dict[str, Any],
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        standing = self.standing_answer(facts["request_id"])
        if standing is not None and _ranked(event_class, happened_at, facts) <= standing:
            return
        self.trigger_event(event_class, happened_at=happened_at, causation=causation, **facts)

    def _evolve(self, event: DomainEvent) -> None:
        match event:
            case JudgeDecisionRecorded() | JudgeDecisionFailed():
                rank = _ranked(type(event), event.happened_at, vars(event))
                self._state.drafted[event.request_id] = rank
            case AssessmentResultRecorded():
                self._state.assessed_at = event.happened_at
            case MessageParked():
                self._state.parked_messages += 1
            case MessageDrained():
                self._state.parked_messages -= 1
            case _:
                raise TypeError(f"{event.topic} is no event of a judging job")


def _ranked(event_class: type[DomainEvent], happened_at: datetime, facts: Mapping[str, Any]) -> Answer:
    # Sorted, because a sender may write the members of an object in any order.
    content = [sorted(f.items()) if isinstance(f, dict) else f for f in _CONTENT[event_class](facts)]
    digest = blake2b(to_json(content, inf_nan_mode="null"), digest_size=_DIGEST_BYTES).digest()
    return Answer(happened_at, event_class is JudgeDecisionRecorded, digest)
