"""How far the numbers of a judging job can be relied on, and which pairs to judge next."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from application.responses.kinds import Count
from domain.judging_quality import SplitBy
from domain.next_pairs import Reason

Ssr = Annotated[float | None, Field(description="Scale separation reliability; null across components")]


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


Reliability = _Reliability


class _Halves(TypedDict):
    split_by: SplitBy
    splits: Count
    usable_splits: Count
    correlation: float | None
    lowest: float | None
    highest: float | None
    reliability: float | None


Halves = _Halves


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


Rate = _Rate


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
