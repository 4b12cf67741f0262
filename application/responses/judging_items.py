"""The texts of a judging job, their scores, and which of them met."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from application.responses.kinds import Count, FreeObject

Logits = Annotated[float | None, Field(description="Logits; mean 0 in each component")]
Wins = Annotated[float, Field(ge=0)]
"""A tie counts half."""
Matches = Annotated[
    tuple[int, int, int, int],
    WithJsonSchema(
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 4, "maxItems": 4}
    ),
]


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


RankingLine = _RankingLine
