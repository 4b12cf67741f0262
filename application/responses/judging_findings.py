"""What was checked of a judging session, in the answer about a job."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from application.responses.kinds import Count
from domain.judge_limits import Verdict
from domain.notices import Kind


class _Share(TypedDict):
    hits: float
    n: Count
    share: float | None
    lower: Annotated[float | None, Field(description="95 % interval")]
    upper: float | None


class _Notice(TypedDict):
    kind: Kind
    warning: bool
    text: str


class _ForwardTest(TypedDict):
    correct: _Share
    promised_share: float | None
    log_score: float | None
    log_score_lower: float | None
    log_score_upper: float | None
    promised_log_score: float | None
    p_value: float | None
    better_than_chance: Annotated[bool | None, Field(description="null: too little evidence to tell")]
    refits: Count


class _Adaptivity(TypedDict):
    ratio_at_the_time: Annotated[float | None, Field(description="1: pairs were as far apart as random ones")]
    z: float | None
    ratio_by_final_scores: float | None
    adaptive: bool | None


class _ItemFinding(TypedDict):
    item: str
    se_full: float
    lower: float
    upper: float
    rank: Count
    best_rank: Count
    worst_rank: Count
    above_next: Annotated[float | None, Field(description="Distance to the next lower item, logits")]
    above_next_se: float | None
    above_next_lower: float | None
    above_next_upper: float | None
    theta_firth: float


class _WeakLink(TypedDict):
    one_side: list[str]
    one_side_size: Count
    other_side: list[str]
    other_side_size: Count
    decisions: Count
    pairs: list[list[str]]
    shift_se: Annotated[float, Field(description="Standard error of moving one side against the other")]
    bridge: bool


class _OneWayCut(TypedDict):
    winners: list[str]
    winners_size: Count
    losers: list[str]
    losers_size: Count
    decisions: Count


class _Separation(TypedDict):
    won_all: list[str]
    lost_all: list[str]
    sets: list[_OneWayCut]


class _JudgePosition(TypedDict):
    judge: str
    first: _Share
    p_value: float | None
    both_orders: Count
    same_choice: _Share
    flagged: bool


class _ItemPosition(TypedDict):
    item: str
    theta_without: float
    theta_with: float


class _PositionFinding(TypedDict):
    known: Count
    unknown: Count
    first: _Share
    p_value: float | None
    delta: Annotated[float | None, Field(description="Advantage of the first-shown text, logits")]
    delta_se: float | None
    delta_lower: float | None
    delta_upper: float | None
    matters: bool
    judges: list[_JudgePosition]
    items: list[_ItemPosition]


class _JudgeCheck(TypedDict):
    judge: str
    agreement: Annotated[_Share, Field(description="With the scores that all other judges made")]
    agreement_limit: float | None
    infit: float
    infit_limit: float | None
    verdict: Verdict


class _Ties(TypedDict):
    ties: Count
    decisions: Count
    tie_parameters: list[float]


class _LookAlikes(TypedDict):
    items: list[list[str]]
    judges: list[list[str]]


class Findings(TypedDict):
    """What was checked of the session; `docs/comparative-judgement.md` explains each figure"""

    notices: list[_Notice]
    forward_test: _ForwardTest
    adaptivity: _Adaptivity
    items: list[_ItemFinding]
    weak_links: list[_WeakLink]
    separation: _Separation
    position: _PositionFinding | None
    judges: list[_JudgeCheck]
    ties: _Ties | None
    look_alikes: _LookAlikes
