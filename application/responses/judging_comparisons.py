"""A judging job's scores beside others: after a change, on a chosen scale, as upstream published them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from application.responses.kinds import Count


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
