"""Responses about judging jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from application.assessments import Outcome
from application.responses.judging_findings import Findings
from application.responses.kinds import Count, FreeObject, UtcText
from domain.judging_quality import SplitBy
from domain.next_pairs import Reason

State = Annotated[
    Literal["running", "finished"], Field(description="Finished once upstream has published a result")
]
Logits = Annotated[float | None, Field(description="Logits; mean 0 in each component")]
Wins = Annotated[float, Field(ge=0)]
"""A tie counts half."""

Ssr = Annotated[float | None, Field(description="Scale separation reliability; null across components")]
Matches = Annotated[
    tuple[int, int, int, int],
    WithJsonSchema(
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 4, "maxItems": 4}
    ),
]


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


class _Score(TypedDict):
    component: Annotated[Count | None, Field(description="The group of connected texts, 0 the largest")]
    rank: Annotated[
        Count | None, Field(description="Within the component, anchors included; equal scores share one")
    ]
    theta: Logits
    se: float | None
    lower: Annotated[float | None, Field(description="theta - 1.96 se")]
    upper: Annotated[float | None, Field(description="theta + 1.96 se")]


class ItemNumbers(_Score):
    """What decisions come to for one text."""

    infit: float | None
    outfit: float | None
    comparisons: Count
    wins: Wins


class ItemIdentity(TypedDict):
    """Which text it is."""

    item: str
    is_anchor: bool
    published: Annotated[
        FreeObject | None, Field(description="Upstream's own line, where its result has one")
    ]


class ItemUncertainty(TypedDict):
    """What the whole covariance matrix and the penalised fit add to a text's score."""

    se_full: Annotated[float | None, Field(description="Standard error by the whole covariance matrix")]
    best_rank: Annotated[
        Count | None, Field(description="95 % interval of the rank, by the whole covariance matrix")
    ]
    worst_rank: Count | None
    theta_firth: Annotated[float | None, Field(description="Penalised score (Firth, Jeffreys' prior)")]


class Item(ItemIdentity, ItemNumbers, ItemUncertainty):
    """A text of a job."""

    flagged: Annotated[bool, Field(description="Infit above mean + 2 sd")]


class Matrix(TypedDict):
    """Which texts met, and how often."""

    items: list[str]
    pairs: Annotated[
        list[Matches],
        Field(
            description="[a, b, judged, a_wins]: a and b are places in `items`, a before b; equal: a text met itself"
        ),
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


class _ComponentReliability(TypedDict):
    component: Count
    items: Count
    decisions: Count
    ssr: float | None
    separation_g: float | None
    balanced_adjustment: bool


class _Reliability(TypedDict):
    ssr: Ssr
    separation_g: float | None
    components: list[_ComponentReliability]
    warnings: Annotated[list[str], Field(description="What to know before relying on the numbers")]
    notes: Annotated[list[str], Field(description="What else was found, in sentences")]


class _Halves(TypedDict):
    split_by: SplitBy
    splits: Count
    usable_splits: Count
    correlation: float | None
    lowest: float | None
    highest: float | None
    reliability: float | None


class _SplitHalf(TypedDict):
    by_judges: _Halves
    by_decisions: _Halves


class _GrowthPoint(TypedDict):
    decisions: Count
    items: Count
    components: Count
    ssr: float | None
    separation_g: float | None


class _DetailedReliability(_Reliability):
    split_half: _SplitHalf | None
    growth: Annotated[
        list[_GrowthPoint],
        Field(description="After each tenth of the decisions, in the order of the log"),
    ]


class _Rate(TypedDict):
    shared_pairs: Count
    agreements: float
    rate: float | None
    kappa: float | None


class _JudgeRate(_Rate):
    judge: str


class _PairRate(_Rate):
    first: str
    second: str


class Agreement(TypedDict):
    """How far judges agree."""

    overall: _Rate
    judges: list[_JudgeRate]
    judge_pairs: Annotated[
        list[_PairRate],
        Field(description="Those who share the most pairs; `judge_pairs_in_all` counts all"),
    ]
    judge_pairs_in_all: Count


class _JudgeInfit(TypedDict):
    judge: str
    infit: float


class _ItemInfit(TypedDict):
    item: str
    infit: float


class _Misfits(TypedDict):
    judge_limit: float | None
    judges: list[_JudgeInfit]
    item_limit: float | None
    items: list[_ItemInfit]


class _NextPair(TypedDict):
    first: str
    second: str
    expected_reduction: float | None
    reason: Reason


class _Component(TypedDict):
    component: Count
    items: list[str]


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


class Quality(TypedDict, total=False):
    """How far the numbers of a job can be relied on."""

    reliability: _DetailedReliability
    agreement: Agreement | None
    misfits: Annotated[_Misfits, Field(description="Infit above mean + 2 sd, the worst first")]
    next_pairs: Annotated[
        list[_NextPair],
        Field(
            description="The pairs whose next decision takes most off the sum of se squared; null: joins components"
        ),
    ]


class _ItemChange(TypedDict):
    item: str
    theta_before: float | None
    theta_after: float | None
    moved: Annotated[float | None, Field(description="Logits, the mean of the common texts held")]
    rank_before: Count | None
    rank_after: Count | None


class WhatIf(TypedDict):
    """What the changes that the request asks for make of the scores, the texts that moved most first"""

    decisions_before: Count
    decisions_after: Count
    ssr_before: float | None
    ssr_after: float | None
    correlation: Annotated[float | None, Field(description="Pearson's, of the texts in both")]
    items: list[_ItemChange]


class _Scale(TypedDict):
    """intercept + slope * theta"""

    intercept: float
    slope: float


class _ScaledItem(TypedDict):
    item: str
    theta: float
    scaled: float | None
    scaled_se: Annotated[float | None, Field(description="The full standard error, on the scale")]
    true_score: Annotated[
        float, Field(description="Share of wins expected against every other text, times 100")
    ]
    grade: Annotated[str | None, Field(description="By the boundaries; null where one is not known")]
    meets_standard: bool | None


class _Boundary(TypedDict):
    below: str
    above: str
    theta: Annotated[
        float | None, Field(description="null where the anchors are not in the order of the grades")
    ]
    se: float | None
    scaled: float | None


class Scaled(TypedDict):
    """Scores on the scale, and grades, that the request asks for; upstream's grades are in `published`"""

    scale: _Scale | None
    items: list[_ScaledItem]
    boundaries: list[_Boundary]


class _Disagreement(TypedDict):
    item: str
    rank: Annotated[float, Field(description="Among the texts that both have; equal scores share the mean")]
    published_rank: float
    difference: float
    beyond_error: Annotated[bool, Field(description="Outside the 95 % interval of our rank")]


class PublishedComparison(TypedDict):
    """Our scores beside upstream's, of the texts in both (of the largest component)"""

    items: Count
    score_correlation: Annotated[float | None, Field(description="Pearson's, with upstream's bt_score")]
    rank_correlation: Annotated[float | None, Field(description="Spearman's, with upstream's ranks")]
    pairs: Count
    opposite_pairs: Annotated[Count, Field(description="Pairs of texts in opposite order")]
    beyond_error: Annotated[Count, Field(description="Texts whose published rank is outside our interval")]
    disagreements: Annotated[list[_Disagreement], Field(description="The largest differences of ranks first")]


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


class _RankingLine(_Score):
    best_rank: Annotated[
        Count | None, Field(description="95 % interval of the rank, by the whole covariance matrix")
    ]
    worst_rank: Count | None
    item: str
    is_anchor: bool
    comparisons: Count
    wins: Wins
    published_rank: Count | None
    letter_grade: str | None


class _MisfitNames(TypedDict):
    items: list[str]
    judges: list[str]


RankingLine = _RankingLine
Halves = _Halves
Rate = _Rate
Reliability = _Reliability


class SummaryJob(TypedDict):
    """A job in the summary of its batch."""

    job_id: str
    state: State
    method: str | None
    model: str | None
    provider: str | None
    model_version: str | None
    assessed_at: UtcText | None
    reliability: _Reliability
    ranking: list[_RankingLine]
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
