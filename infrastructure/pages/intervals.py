"""Scores with 95 % intervals from the judges' decisions, as the assessment app computes them, and where to draw them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from application.enrichment import Assessment, AssessmentUnavailable

_WIDTH: Final = 100
_NUMBERS: Final = ("theta", "lower", "upper")
_RANKS: Final = ("best_rank", "worst_rank")
_NONE: Final[Mapping[str, Any]] = dict.fromkeys((*_NUMBERS, *_RANKS, "drawn"))


class Intervals:
    """Of the texts of one batch; the newest judging job that has a text decides."""

    def __init__(self, assessment: Assessment) -> None:
        jobs = (
            []
            if isinstance(assessment, AssessmentUnavailable)
            else orjson.loads(assessment.content).get("jobs", [])
        )
        self._lines: dict[str, Mapping[str, Any]] = {}
        for job in sorted(jobs, key=lambda each: each.get("provenance", {}).get("position", 0)):
            for line in job.get("ranking") or ():
                if line.get("lower") is not None and line.get("upper") is not None:
                    self._lines[line["item"]] = line
        self._least = min((line["lower"] for line in self._lines.values()), default=0.0)
        self._span = max((line["upper"] for line in self._lines.values()), default=1.0) - self._least or 1.0

    def of(self, essay_id: str) -> Mapping[str, Any]:
        """Return `theta`, `lower` and `upper` in logits, their places in a drawing 100 wide, and the ranks within the error.

        All are None without.
        """
        line = self._lines.get(essay_id)
        if line is None:
            return _NONE
        numbers = {name: line[name] for name in _NUMBERS}
        ranks = {name: line.get(name) for name in _RANKS}
        return {
            **numbers,
            **ranks,
            "drawn": {name: round(self._place(value), 1) for name, value in numbers.items()},
        }

    def _place(self, value: float) -> float:
        return _WIDTH * (value - self._least) / self._span
