"""Answers about judging jobs: everything about one, and the summary of a batch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from application.responses.judging_comparisons import PublishedComparison, Scaled, WhatIf
from application.responses.judging_decisions import Decision, PublishedResult
from application.responses.judging_findings import Findings
from application.responses.judging_items import Item, Matrix, RankingLine
from application.responses.judging_quality import Quality, Reliability
from application.responses.kinds import Count, UtcText

State = Annotated[
    Literal["running", "finished"], Field(description="Finished once upstream has published a result")
]


class Costs(TypedDict):
    """What requests to judges took."""

    usd: float | None
    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count


class Judge(TypedDict):
    """A judge of a job."""

    judge: str
    decisions: Count
    failures: Count
    infit: float | None
    outfit: float | None
    flagged: Annotated[bool, Field(description="Infit above mean + 2 sd, or verdict contrary or deviating")]
    mean_confidence: float | None
    mean_response_time_ms: float | None
    costs: Costs


class Counts(TypedDict):
    """How much of everything a job has."""

    decisions: Count
    failures: Count
    items: Count
    anchors: Count
    judges: Count


class Position(TypedDict):
    """Where the newest event of an answer is."""

    position: Count


class _Provenance(Position, total=False):
    """What the answer was computed from; the same position and versions give the same bytes"""

    method: str
    method_version: str
    answer_version: Count
    decisions_counted: Count
    decisions_failed: Count


Provenance = _Provenance


class JobHead(TypedDict):
    """What every answer about a job begins with."""

    job_id: str
    batch_id: str | None
    state: State
    provenance: Provenance


class _Component(TypedDict):
    component: Count
    items: list[str]


class Statistics(JobHead, Quality, total=False):
    """Everything about a job except its single decisions."""

    result: PublishedResult | None
    items: list[Item]
    components: Annotated[
        list[_Component],
        Field(
            description="The groups of texts that decisions connect, by name; there is no scale across them"
        ),
    ]
    matrix: Matrix
    findings: Findings | None
    what_if: Annotated[WhatIf | None, Field(description="null where the request changes nothing")]
    scaled: Annotated[
        Scaled | None, Field(description="null where the request asks for no scale, grades or standard")
    ]
    published_comparison: PublishedComparison | None
    judges: list[Judge]
    counts: Counts
    costs: Costs


class DecisionPage(JobHead):
    """A page of decisions."""

    decisions: list[Decision]
    next_cursor: str | None


class Detailed(Statistics, DecisionPage):
    """Everything about a job. Pages after the first have what `DecisionPage` requires only."""


class _MisfitNames(TypedDict):
    items: list[str]
    judges: list[str]


class SummaryJob(TypedDict):
    """A job in the summary of its batch."""

    job_id: str
    state: State
    method: str | None
    model: str | None
    provider: str | None
    model_version: str | None
    assessed_at: UtcText | None
    reliability: Reliability
    ranking: list[RankingLine]
    counts: Counts
    costs: Costs
    misfits: _MisfitNames
    provenance: Annotated[Provenance, WithJsonSchema({"type": "object", "additionalProperties": True})]


class _JobPosition(TypedDict):
    job_id: str
    position: Count


class _SummaryProvenance(TypedDict):
    position: Count
    jobs: list[_JobPosition]


class Summary(TypedDict):
    """The judging jobs of a batch."""

    batch_id: str
    jobs: Annotated[list[SummaryJob], Field(description="The one with the newest event first")]
    provenance: _SummaryProvenance
