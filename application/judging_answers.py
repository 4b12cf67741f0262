"""The two answers about a judging job as plain JSON values: in detail, and as a line of its batch.

Both are functions of the facts alone. No clock, no chance, no order of a dictionary that the facts do not
fix: the same facts give the same bytes, in any process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from application.assessments import JobFacts, PairCount
from application.judging_findings import findings_body
from application.judging_scores import ScoredJob, scored
from domain.judging_quality import SplitBy, assess_quality

MOST_JUDGE_PAIRS: Final = 100
"""Of the judges who share the most pairs; 200 judges make 19,900."""

_RANKING: Final = (
    "item",
    "is_anchor",
    "component",
    "rank",
    "theta",
    "se",
    "lower",
    "upper",
    "comparisons",
    "wins",
)


def detailed(facts: JobFacts, matrix: Sequence[PairCount]) -> dict[str, Any]:
    """Return everything about a job except its single decisions."""
    job = scored(facts)
    return {
        "job_id": facts.job_id,
        "batch_id": facts.batch_id,
        "state": job.state,
        "result": None if facts.result is None else facts.result.body,
        "items": job.items(),
        "components": [{"component": n, "items": part.items} for n, part in enumerate(job.components)],
        "matrix": _matrix(matrix),
        "judges": job.judges(),
        "counts": job.counts(),
        "costs": job.total.costs_body(),
        **_quality(job),
        "findings": None if job.findings is None else findings_body(job.findings),
        "provenance": job.provenance(),
    }


def summarised(facts: JobFacts) -> dict[str, Any]:
    """Return what the summary of a batch says of one of its jobs."""
    job = scored(facts)
    result = {} if facts.result is None else facts.result.body
    return {
        "job_id": facts.job_id,
        "state": job.state,
        "method": result.get("method"),
        "model": result.get("model_used"),
        "provider": result.get("model_provider"),
        "model_version": result.get("model_version"),
        "assessed_at": result.get("assessed_at"),
        "reliability": job.reliability(),
        "ranking": [_ranking_line(item) for item in job.items()],
        "counts": job.counts(),
        "costs": job.total.costs_body(),
        "misfits": {
            "items": [item.item for item in job.misfits.items],
            "judges": [judge["judge"] for judge in job.judges() if judge["flagged"]],
        },
        "provenance": job.provenance(),
    }


def _ranking_line(item: dict[str, Any]) -> dict[str, Any]:
    published = item["published"] or {}
    return {
        **{name: item[name] for name in _RANKING},
        "published_rank": published.get("rank"),
        "letter_grade": published.get("letter_grade"),
    }


def _matrix(counts: Sequence[PairCount]) -> dict[str, Any]:
    """Return the pairs by the places of their texts: names would make it six times as long."""
    names = sorted({name for pair in counts for name in (pair.item_a, pair.item_b)})
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[pair.item_a], place[pair.item_b], pair.judged, pair.a_wins) for pair in counts]
    return {"items": names, "pairs": pairs}


def _quality(job: ScoredJob) -> dict[str, Any]:
    reliability = job.reliability()
    if job.comparisons is None or job.scores is None:
        empty: dict[str, Any] = {"judge_limit": None, "judges": [], "item_limit": None, "items": []}
        reliability |= {"split_half": None, "growth": []}
        return {"reliability": reliability, "agreement": None, "misfits": empty, "next_pairs": []}
    quality = assess_quality(job.comparisons, job.scores, estimate=job.estimate, findings=job.findings)
    halves = {
        SplitBy.JUDGES: quality.split_half_by_judges,
        SplitBy.DECISIONS: quality.split_half_by_decisions,
    }
    reliability |= {
        "split_half": {f"by_{unit}": asdict(half) for unit, half in halves.items()},
        "growth": [asdict(point) for point in quality.growth],
    }
    pairs = quality.agreement.judge_pairs
    return {
        "reliability": reliability,
        "agreement": {
            "overall": asdict(quality.agreement.overall),
            "judges": [{"judge": each.judge, **asdict(each.agreement)} for each in quality.agreement.judges],
            "judge_pairs": [
                {"first": pair.first, "second": pair.second, **asdict(pair.agreement)}
                for pair in pairs[:MOST_JUDGE_PAIRS]
            ],
            "judge_pairs_in_all": len(pairs),
        },
        "misfits": {
            "judge_limit": quality.misfits.judge_limit,
            "judges": [{"judge": judge.judge, "infit": judge.infit} for judge in quality.misfits.judges],
            "item_limit": quality.misfits.item_limit,
            "items": [{"item": item.item, "infit": item.infit} for item in quality.misfits.items],
        },
        "next_pairs": [asdict(pair) for pair in quality.next_pairs],
    }
