"""A judging job scored: its texts, its judges, and what is published of them, side by side.

What the two answers about a job share. The texts are all those that a judge decided on or that the result
names; one that nobody decided on has no score, one that the result leaves out has nothing published.
Numbers are of the decisions alone: upstream's own scores stand beside, as they were published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, Final, Literal, NamedTuple

from application.assessments import Asked, JobFacts
from application.judging_scales import ScaleOptions
from application.responses import judging, judging_items, judging_quality
from domain.batch_state import is_anchor_id
from domain.bradley_terry import (
    DECIMALS,
    METHOD_VERSION,
    Component,
    Estimate,
    ItemScore,
    JudgeFit,
    JudgingScores,
    estimate_scores,
    ranked,
    scores_of,
)
from domain.collation import sort_key
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import Findings, find
from domain.judging_quality import Misfits, misfits
from domain.next_pairs import RANDOM_SHARE
from domain.published_scores import PublishedComparison, published_comparison
from domain.uncertainty import ItemUncertainty
from domain.what_if import Change, Differences, changed, differences

METHOD: Final = "bradley-terry"
ANSWER_VERSION: Final = 5
"""Changes whenever the same facts would be answered with other bytes although the method is the same."""

_Z: Final = 1.96
"""Of a 95 % interval."""

_PUBLISHED: Final = (
    "rank",
    "bt_score",
    "normalized_score",
    "letter_grade",
    "confidence_score",
    "confidence_label",
    "display_name",
    "feedback_uri",
    "metrics_uri",
)
_NO_MISFITS: Final = Misfits(None, (), None, ())


class Wanted(NamedTuple):
    """What a reader asks of the statistics: a what-if, the share of random next pairs, the language of name order, scales.

    Without a `locale` names are in the order of their code points. With `by_anchors` grades are those of the job's
    anchors.
    """

    change: Change = Change()
    random_share: float = RANDOM_SHARE
    locale: str = ""
    scales: ScaleOptions = ScaleOptions()
    by_anchors: bool = False

    @property
    def is_scaled(self) -> bool:
        """Whether a scale, grades or a standard are asked for."""
        return self.by_anchors or self.scales != ScaleOptions()

    @property
    def key(self) -> str:
        """Tells apart answers about the same job; empty for the usual one."""
        return "" if self == Wanted() else repr(self)


@dataclass(slots=True)
class _Tally:
    """What one judge, or all of them, took: costs in US dollars, times in milliseconds."""

    decisions: int = 0
    failures: int = 0
    costs: list[float] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0

    def add(self, asked: Asked) -> None:
        """Count one request in."""
        if asked.chosen_a is None:
            self.failures += 1
        else:
            self.decisions += 1
            self.times.append(asked.response_time_ms)
        if asked.confidence is not None:
            self.confidences.append(asked.confidence)
        self.costs.append(asked.cost)
        self.prompt_tokens += asked.prompt_tokens
        self.completion_tokens += asked.completion_tokens
        self.total_tokens += asked.total_tokens

    def costs_body(self) -> judging.Costs:
        """Return the costs."""
        return {
            "usd": _sum(self.costs),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
        }


@dataclass(frozen=True, slots=True)
class ScoredJob:
    """A job's facts and what they come to. Without any decision there is nothing but the facts."""

    facts: JobFacts
    comparisons: Comparisons | None
    estimate: Estimate | None
    scores: JudgingScores | None
    findings: Findings | None
    misfits: Misfits
    tallies: Mapping[str, _Tally]
    total: _Tally
    wanted: Wanted = field(default_factory=Wanted)
    what_if: Differences | None = None

    @property
    def state(self) -> Literal["running", "finished"]:
        """`finished` once a result was published."""
        return "running" if self.facts.result is None else "finished"

    @property
    def components(self) -> tuple[Component, ...]:
        """The groups of texts that decisions connect, the largest first."""
        return () if self.scores is None else self.scores.components

    def items(self) -> list[judging_items.Item]:
        """Return the texts: scored ones by component and score, then the others as they are published."""
        lines = {line["essay_id"]: line for line in self._lines()}
        scored = () if self.scores is None else self.scores.items
        flagged = {item.item for item in self.misfits.items}
        further = () if self.findings is None else self.findings.items
        found: list[judging_items.Item] = [
            {
                **_item(name, lines.get(name)),
                **_score(item, rank),
                "flagged": name in flagged,
                **_further(more),
            }
            for (item, rank), more in zip(ranked(scored), further, strict=True)
            for name in [item.item]
        ]
        unjudged = sorted(
            lines.keys() - {item.item for item in scored}, key=lambda name: (lines[name]["rank"], name)
        )
        found += [
            {**_item(name, lines[name]), **_NO_SCORE, "flagged": False, **_further(None)} for name in unjudged
        ]
        return found

    def judges(self) -> list[judging.Judge]:
        """Return the judges by name, those who only ever failed among them."""
        fits: dict[str, JudgeFit] = {} if self.scores is None else {j.judge: j for j in self.scores.judges}
        checks = () if self.findings is None else self.findings.judges
        flagged = {judge.judge for judge in self.misfits.judges} | {c.judge for c in checks if c.flagged}
        return [
            _judge(name, tally, fits.get(name), name in flagged)
            for name, tally in sorted(self.tallies.items(), key=self._by_name)
        ]

    def counts(self) -> judging.Counts:
        """Return how much of everything there is."""
        names = {line["essay_id"] for line in self._lines()}
        anchors = {line["essay_id"] for line in self._lines() if line["is_anchor"]}
        if self.comparisons is not None:
            names.update(self.comparisons.items)
        anchors.update(filter(is_anchor_id, names))
        return {
            "decisions": self.total.decisions,
            "failures": self.total.failures,
            "items": len(names),
            "anchors": len(anchors),
            "judges": len(self.tallies),
        }

    def reliability(self) -> judging_quality.Reliability:
        """Return SSR and G of the whole, null across groups, and of each group."""
        return {
            "ssr": None if self.scores is None else self.scores.ssr,
            "separation_g": None if self.scores is None else self.scores.separation_g,
            "components": [
                {
                    "component": number,
                    "items": len(component.items),
                    "decisions": component.decisions,
                    "ssr": component.ssr,
                    "separation_g": component.separation_g,
                    "balanced_adjustment": component.balanced,
                }
                for number, component in enumerate(self.components)
            ],
            "warnings": self.warnings(),
            "notes": self.notes(),
        }

    def warnings(self) -> list[str]:
        """Return what a reader of the numbers should know, in sentences."""
        found = []
        if self.facts.result is None:
            found.append("The job has no result yet: these are the numbers so far.")
        if self.findings is None:
            return [*found, "No decision is known, so there are no scores."]
        return [*found, *self.findings.warnings]

    def notes(self) -> list[str]:
        """Return what else was found, in sentences."""
        return [] if self.findings is None else list(self.findings.notes)

    def provenance(self) -> judging.Provenance:
        """Return what the numbers were computed from, and how."""
        return {
            "position": self.facts.position,
            "method": METHOD,
            "method_version": METHOD_VERSION if self.scores is None else self.scores.method_version,
            "answer_version": ANSWER_VERSION,
            "decisions_counted": self.total.decisions,
            "decisions_failed": self.total.failures,
        }

    def published_comparison(self) -> PublishedComparison | None:
        """Return how far the scores of the largest component agree with the published ones, None without a result."""
        if self.scores is None or self.findings is None:
            return None
        ours = {item.item: item.theta for item in self.scores.items if item.component == 0}
        lines = {line["essay_id"]: line for line in self._lines()}
        return published_comparison(
            ours,
            {name: line["rank"] for name, line in lines.items()},
            {name: line["bt_score"] for name, line in lines.items()},
            [each for each in self.findings.items if each.item in ours],
        )

    def anchor_grades(self) -> dict[str, str]:
        """Return the published grades of the anchors that judges decided on."""
        judged = set() if self.comparisons is None else set(self.comparisons.items)
        return {
            line["essay_id"]: line["letter_grade"]
            for line in self._lines()
            if line["is_anchor"] and line["essay_id"] in judged
        }

    def _by_name(self, judge: tuple[str, _Tally]) -> Any:
        return sort_key(self.wanted.locale)(judge[0]) if self.wanted.locale else judge[0]

    def _lines(self) -> Sequence[Mapping[str, Any]]:
        return () if self.facts.result is None else self.facts.result.lines


def scored(facts: JobFacts, wanted: Wanted = Wanted()) -> ScoredJob:  # noqa: B008 (it cannot change)
    """Score and check a job: some tenths of a second for a thousand decisions, a second for 35,000.

    Raises JudgingDataError where a what-if names a judge or text that is not there, or leaves no decision.
    """
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
    total = _Tally()
    for asked in facts.asked:
        tallies[asked.judge].add(asked)
        total.add(asked)
    decided = [asked for asked in facts.asked if asked.chosen_a is not None]
    if not decided:
        return ScoredJob(facts, None, None, None, None, _NO_MISFITS, tallies, total, wanted)
    comparisons = Comparisons.from_names(
        [asked.judge for asked in decided],
        [asked.essay_a if asked.chosen_a else asked.essay_b for asked in decided],
        [asked.essay_b if asked.chosen_a else asked.essay_a for asked in decided],
        shown_first=[asked.essay_a for asked in decided],
    )
    whole = None
    if not wanted.change.is_none:
        whole = scores_of(comparisons, estimate_scores(PairCounts.of(comparisons)))
        comparisons = changed(comparisons, wanted.change)
    estimate = estimate_scores(
        PairCounts.of(comparisons), wanted.change.epsilon, prior_sd=wanted.change.prior_sd
    )
    scores = scores_of(comparisons, estimate)
    return ScoredJob(
        facts,
        comparisons,
        estimate,
        scores,
        find(comparisons, estimate, scores),
        misfits(scores),
        tallies,
        total,
        wanted,
        None if whole is None else differences(whole, scores),
    )


def _item(name: str, line: Mapping[str, Any] | None) -> judging_items.ItemIdentity:
    return {
        "item": name,
        "is_anchor": is_anchor_id(name) or bool(line and line["is_anchor"]),
        "published": None if line is None else {key: line[key] for key in _PUBLISHED},
    }


def _score(item: ItemScore, rank: int) -> judging_items.ItemNumbers:
    return {
        "component": item.component,
        "rank": rank,
        "theta": item.theta,
        "se": item.se,
        "lower": round(item.theta - _Z * item.se, DECIMALS),
        "upper": round(item.theta + _Z * item.se, DECIMALS),
        "infit": item.infit,
        "outfit": item.outfit,
        "comparisons": item.comparisons,
        "wins": item.wins,
    }


def _further(more: ItemUncertainty | None) -> judging_items.ItemUncertainty:
    """Return what the whole covariance matrix and the penalised fit add to a text's score."""
    if more is None:
        return {"se_full": None, "best_rank": None, "worst_rank": None, "theta_firth": None}
    return {
        "se_full": more.se_full,
        "best_rank": more.best_rank,
        "worst_rank": more.worst_rank,
        "theta_firth": more.theta_firth,
    }


_NO_SCORE: Final[judging_items.ItemNumbers] = {
    "component": None,
    "rank": None,
    "theta": None,
    "se": None,
    "lower": None,
    "upper": None,
    "infit": None,
    "outfit": None,
    "comparisons": 0,
    "wins": 0,
}


def _judge(name: str, tally: _Tally, fit: JudgeFit | None, flagged: bool) -> judging.Judge:
    return {
        "judge": name,
        "decisions": tally.decisions,
        "failures": tally.failures,
        "infit": None if fit is None else fit.infit,
        "outfit": None if fit is None else fit.outfit,
        "flagged": flagged,
        "mean_confidence": _mean(tally.confidences),
        "mean_response_time_ms": _mean(tally.times),
        "costs": tally.costs_body(),
    }


def _sum(values: Sequence[float]) -> float | None:
    """Add up in a way that does not depend on the order; None beyond all numbers."""
    try:
        return round(fsum(values), DECIMALS)
    except OverflowError:
        return None


def _mean(values: Sequence[float]) -> float | None:
    return round(fsum(values) / len(values), DECIMALS) if values else None
