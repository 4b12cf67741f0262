"""A vocabulary for tests of the judging job: upstream's answers and results, told to an aggregate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import Any, Final

from domain.aggregate import DomainEvent
from domain.assessment import AssessmentAggregate, Comparison
from domain.assessment_events import Side
from domain.values import Causation, Details
from tests.support.given import caused_by, minute, ranked

STREAM: Final = "assessment-164"


@dataclass(frozen=True)
class Told:
    """Something upstream says of the job, complete at minute `at`."""

    _: KW_ONLY
    at: int

    def tell(self, job: AssessmentAggregate, causation: Causation) -> None:
        """Give the message's command to `job`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Answered(Told):
    """An answer to one request: a decision for a side, or an error where `winner` is None."""

    request: str
    winner: Side | None = Side.A
    essays: tuple[str, str] = ("e1", "e2")
    confidence: float = 2.5
    metadata: Details | None = None

    def tell(self, job: AssessmentAggregate, causation: Causation) -> None:
        comparison = Comparison(
            batch_id="b1",
            request_id=self.request,
            essay_a_id=self.essays[0],
            essay_b_id=self.essays[1],
            judge=None,
            provider="mock",
            model="synthetic-model-1",
            response_time_ms=3000,
            prompt_tokens=1645,
            completion_tokens=100,
            total_tokens=1745,
            cost=0.0065,
            requested_at=minute(self.at) - timedelta(seconds=3),
            request_metadata=self.metadata or {"cj_batch_id": "164"},
        )
        if self.winner is None:
            job.record_failure(
                comparison,
                error_code="TIMEOUT",
                error={"error_code": "TIMEOUT", "confidence": self.confidence},
                happened_at=minute(self.at),
                causation=causation,
            )
        else:
            job.record_decision(
                comparison,
                winner=self.winner,
                justification="clearer",
                confidence=self.confidence,
                happened_at=minute(self.at),
                causation=causation,
            )


@dataclass(frozen=True)
class Assessed(Told):
    """A result, its essays in the order of their ranks."""

    essays: tuple[str, ...] = ("e1", "e2")

    def tell(self, job: AssessmentAggregate, causation: Causation) -> None:
        job.record_result(
            batch_id="b1",
            assignment_id=None,
            method="cj_assessment",
            model_used="synthetic-model-1",
            model_provider="mock",
            model_version=None,
            results=tuple(ranked(essay, rank) for rank, essay in enumerate(self.essays, start=1)),
            metadata={},
            happened_at=minute(self.at),
            causation=causation,
        )


def hear(told: Iterable[Told], job: AssessmentAggregate | None = None) -> list[DomainEvent]:
    """Tell `job` (a new one unless given) the messages; return what it records."""
    job = job or AssessmentAggregate(STREAM)
    for offset, each in enumerate(told):
        each.tell(job, caused_by(offset))
    return job.collect_events()


def facts_of(event: DomainEvent) -> dict[str, Any]:
    """Return what an event says, without its place in the stream and the message that told it."""
    places = ("originator_version", "causation")
    return {name: fact for name, fact in vars(event).items() if name not in places} | {"topic": event.topic}


def standing(events: Iterable[DomainEvent]) -> dict[str, dict[str, Any]]:
    """Return what stands after `events`: by request the last answer, and the last result."""
    return {getattr(event, "request_id", "the result"): facts_of(event) for event in events}
