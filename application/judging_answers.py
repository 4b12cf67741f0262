"""The responses about a judging job as plain JSON values: in detail, and as a line of its batch.

Both are functions of the facts alone. No clock, no chance, no order of a dictionary that the facts do not
fix: the same facts give the same bytes, in any process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, cast

from application.assessments import JobFacts, PairCount
from application.judging_findings import findings_body
from application.judging_scales import scaled_scores
from application.judging_scores import ScoredJob, Wanted, scored
from application.responses import judging, judging_comparisons, judging_items, judging_quality
from domain.judge_agreement import Rate
from domain.judging_quality import SplitHalf, assess_quality

MOST_JUDGE_PAIRS: Final = 100
"""Of the judges who share the most pairs; 200 judges make 19,900."""


def detailed(
    facts: JobFacts,
    matrix: Sequence[PairCount],
    wanted: Wanted = Wanted(),  # noqa: B008 (it cannot change)
) -> judging.Statistics:
    """Return everything about a job except its single decisions.

    A what-if changes scores and what rests on them; result, matrix, counts and costs remain those of the whole job.
    Raises JudgingDataError and ScaleError for a what-if or scale that cannot be made.
    """
    job = scored(facts, wanted)
    comparison = job.published_comparison()
    return {
        "job_id": facts.job_id,
        "batch_id": facts.batch_id,
        "state": job.state,
        "result": None if facts.result is None else facts.result.body,
        "items": job.items(),
        "components": [{"component": n, "items": list(part.items)} for n, part in enumerate(job.components)],
        "matrix": _matrix(matrix),
        "judges": job.judges(),
        "counts": job.counts(),
        "costs": job.total.costs_body(),
        **_quality(job),
        "findings": None if job.findings is None else findings_body(job.findings),
        "what_if": None if job.what_if is None else cast("judging_comparisons.WhatIf", asdict(job.what_if)),
        "scaled": _scaled(job),
        "published_comparison": (
            None
            if comparison is None
            else cast("judging_comparisons.PublishedComparison", asdict(comparison))
        ),
        "provenance": job.provenance(),
    }


def summarised(facts: JobFacts) -> judging.SummaryJob:
    """Return what the summary of a batch says of one of its jobs."""
    job = scored(facts)
    result = None if facts.result is None else facts.result.body
    return {
        "job_id": facts.job_id,
        "state": job.state,
        "method": result["method"] if result else None,
        "model": result["model_used"] if result else None,
        "provider": result["model_provider"] if result else None,
        "model_version": result["model_version"] if result else None,
        "assessed_at": result["assessed_at"] if result else None,
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


def _scaled(job: ScoredJob) -> judging_comparisons.Scaled | None:
    """Return what is asked for of scales and grades. Raises ScaleError."""
    options = job.wanted.scales
    if not job.wanted.is_scaled or job.scores is None:
        return None
    assert job.comparisons is not None
    assert job.estimate is not None
    assert job.findings is not None
    if job.wanted.by_anchors:
        options = options._replace(grades=job.anchor_grades())
    found = scaled_scores(job.comparisons.items, job.estimate, job.scores, job.findings, options)
    return cast("judging_comparisons.Scaled", found)


def _ranking_line(item: judging_items.Item) -> judging_items.RankingLine:
    published = item["published"] or {}
    return {
        "item": item["item"],
        "is_anchor": item["is_anchor"],
        "component": item["component"],
        "rank": item["rank"],
        "theta": item["theta"],
        "se": item["se"],
        "lower": item["lower"],
        "upper": item["upper"],
        "best_rank": item["best_rank"],
        "worst_rank": item["worst_rank"],
        "comparisons": item["comparisons"],
        "wins": item["wins"],
        "published_rank": published.get("rank"),
        "letter_grade": published.get("letter_grade"),
    }


def _matrix(counts: Sequence[PairCount]) -> judging_items.Matrix:
    """Return the pairs by the places of their texts: names would make it six times as long."""
    names = sorted({name for pair in counts for name in (pair.item_a, pair.item_b)})
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[pair.item_a], place[pair.item_b], pair.judged, pair.a_wins) for pair in counts]
    return {"items": names, "pairs": pairs}


def _quality(job: ScoredJob) -> judging_quality.Quality:
    if job.comparisons is None or job.scores is None:
        return {
            "reliability": {**job.reliability(), "split_half": None, "growth": []},
            "agreement": None,
            "misfits": {"judge_limit": None, "judges": [], "item_limit": None, "items": []},
            "next_pairs": [],
        }
    quality = assess_quality(
        job.comparisons,
        job.scores,
        estimate=job.estimate,
        findings=job.findings,
        random_share=job.wanted.random_share,
    )
    pairs = quality.agreement.judge_pairs
    return {
        "reliability": {
            **job.reliability(),
            "split_half": {
                "by_judges": _halves(quality.split_half_by_judges),
                "by_decisions": _halves(quality.split_half_by_decisions),
            },
            "growth": [
                {
                    "decisions": point.decisions,
                    "items": point.items,
                    "components": point.components,
                    "ssr": point.ssr,
                    "separation_g": point.separation_g,
                }
                for point in quality.growth
            ],
        },
        "agreement": {
            "overall": _rate(quality.agreement.overall),
            "judges": [{"judge": each.judge, **_rate(each.agreement)} for each in quality.agreement.judges],
            "judge_pairs": [
                {"first": pair.first, "second": pair.second, **_rate(pair.agreement)}
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
        "next_pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "expected_reduction": pair.expected_reduction,
                "reason": pair.reason,
            }
            for pair in quality.next_pairs
        ],
    }


def _halves(half: SplitHalf) -> judging_quality.Halves:
    return {
        "split_by": half.split_by,
        "splits": half.splits,
        "usable_splits": half.usable_splits,
        "correlation": half.correlation,
        "lowest": half.lowest,
        "highest": half.highest,
        "reliability": half.reliability,
    }


def _rate(rate: Rate) -> judging_quality.Rate:
    return {
        "shared_pairs": rate.shared_pairs,
        "agreements": rate.agreements,
        "rate": rate.rate,
        "kappa": rate.kappa,
    }
