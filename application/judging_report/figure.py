"""What a figure of a judging report is: a specification, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from application.judging_report.specs import Spec
from domain.proportions import Share
from domain.wording import Percent

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its name, what to make of it, its specification, and the table behind it."""

    name: str
    title: str
    sentence: str
    spec: Spec | None
    columns: Sequence[str]
    rows: Rows


def percent(share: float | None) -> Percent | None:
    """The share as it is written in a table."""
    return None if share is None else Percent(share)


def percents(share: Share) -> tuple[Percent | None, ...]:
    """The share and the ends of its interval."""
    return tuple(map(percent, (share.share, share.lower, share.upper)))
