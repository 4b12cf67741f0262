"""Metrics of the assessment app's responses."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class AnswerKind(StrEnum):
    """The answers that are computed."""

    DETAILED = "detailed"
    SUMMARY = "summary"


class JudgingMetrics:
    """How long statistics take, and how often they need not be computed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.computing_seconds = Histogram(
            "ras_judging_computing_seconds",
            "Time to compute the statistics of one job, waiting for a free thread included.",
            ["answer"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.kept = Counter(
            "ras_judging_kept",
            "Statistics of one job that were kept from before.",
            ["answer"],
            registry=registry,
        )
        for kind in AnswerKind:
            self.computing_seconds.labels(kind.value)
            self.kept.labels(kind.value)
