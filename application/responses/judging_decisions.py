"""What judges and upstream said of a judging job: decisions and the published result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from application.assessments import Outcome
from application.responses.kinds import Count, FreeObject, UtcText


class _Source(TypedDict):
    position: Count
    topic: str
    partition: Count
    offset: Count
    event_id: str | None


class _DecisionSource(_Source):
    correlation_id: str | None
    received_at: UtcText


class Decision(TypedDict):
    """One request to a judge."""

    request_id: str
    outcome: Outcome
    judge: Annotated[str, Field(description="The judge's own name, or provider/model")]
    provider: str
    model: str
    essay_a_id: str
    essay_b_id: str
    winner: Literal["essay_a", "essay_b"] | None
    confidence: Annotated[float | None, Field(description="1 to 5")]
    justification: str | None
    error_code: str | None
    error: FreeObject | None
    response_time_ms: Count
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    cost_usd: float
    requested_at: UtcText
    completed_at: UtcText
    request_metadata: FreeObject
    provenance: _DecisionSource


class PublishedResult(TypedDict):
    """As upstream published it, anchors included"""

    method: str
    model_used: str
    model_provider: str
    model_version: str | None
    assignment_id: str | None
    assessed_at: UtcText
    results: list[FreeObject]
    metadata: FreeObject
    provenance: _Source
