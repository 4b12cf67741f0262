"""The findings about a judging session: one path for terminal, assessment app and report.

`find` runs every check of a session and draws the notices from it. Thresholds are those of the checks' own modules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from domain.adaptivity import Adaptivity, adaptivity
from domain.bradley_terry import Estimate, JudgingScores
from domain.comparison_graph import Comparisons
from domain.forward_test import ForwardTest, foresee, forward_test
from domain.judge_limits import FEWEST_JUDGES, JudgeCheck, Verdict, judge_checks
from domain.laplacian import FEW_DRAWS, LARGEST_DENSE
from domain.look_alikes import look_alikes, spelled
from domain.notices import Kind, Notice, sentence
from domain.one_way import Separation, separation
from domain.position_effect import PositionEffect, position_effect
from domain.proportions import Share
from domain.uncertainty import ItemUncertainty, covariances, uncertainties
from domain.weak_links import Cut, WeakLink, weak_cuts, weak_links
from domain.wording import Count, Figure, Names, Percent

FEW_COMPARISONS = 10
"""Comparisons per text that are usually advised (Kinnear, Jones and Davies 2025)."""
_WEAK_LINKS_TOLD = 3
_JUDGES_TOLD = 10


@dataclass(frozen=True, slots=True)
class Ties:
    """Undecided comparisons, and nu of each component (`domain.outcome_model`)."""

    ties: int
    decisions: int
    tie_parameters: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """All checks of one session; `items` are in the order of the scores, `judges` in that of names."""

    forward_test: ForwardTest
    adaptivity: Adaptivity
    items: tuple[ItemUncertainty, ...]
    weak_links: tuple[WeakLink, ...]
    separation: Separation
    position: PositionEffect | None
    judges: tuple[JudgeCheck, ...]
    ties: Ties | None
    look_alike_items: tuple[tuple[str, ...], ...]
    look_alike_judges: tuple[tuple[str, ...], ...]
    notices: tuple[Notice, ...]
    cuts: tuple[Cut, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What bears on trust in the numbers, in sentences."""
        return tuple(sentence(notice) for notice in self.notices if notice.is_warning)

    @property
    def notes(self) -> tuple[str, ...]:
        """What else was found, in sentences."""
        return tuple(sentence(notice) for notice in self.notices if not notice.is_warning)


def find(comparisons: Comparisons, estimate: Estimate, scores: JudgingScores) -> Findings:
    """Check a session, its decisions in the order made."""
    foresight = foresee(comparisons)
    parts = covariances(estimate)
    cuts = weak_cuts(estimate, parts)
    forward = forward_test(comparisons, estimate, foresight)
    adaptive = adaptivity(comparisons, estimate, foresight)
    links = weak_links(comparisons.items, estimate, cuts)
    one_way = separation(comparisons.items, estimate)
    position = position_effect(comparisons, estimate.epsilon)
    judges = judge_checks(comparisons, estimate, scores.judges)
    alike, alike_judges = look_alikes(comparisons.items), look_alikes(comparisons.judges)
    ties = None
    if comparisons.tied is not None:
        ties = Ties(int(comparisons.tied.sum()), len(comparisons), estimate.tie_parameters)
    notices = [
        *_of_forward_test(forward),
        *_of_scores(scores),
        *_of_weak_links(links),
        *_of_separation(one_way),
        *_of_position(position),
        *_of_judges(judges),
        *_of_adaptivity(adaptive),
        *_of_names(alike, Kind.LOOK_ALIKES),
        *_of_names(alike_judges, Kind.LOOK_ALIKE_JUDGES),
        *_of_ties(ties),
    ]
    if any(not part.laplacian.is_dense for part in parts):
        notices.append(Notice(Kind.APPROXIMATED, {"limit": Count(LARGEST_DENSE), "draws": Count(FEW_DRAWS)}))
    order = list(Kind)
    return Findings(
        forward_test=forward,
        adaptivity=adaptive,
        items=uncertainties(scores.items, comparisons.items, estimate, parts),
        weak_links=links,
        separation=one_way,
        position=position,
        judges=judges,
        ties=ties,
        look_alike_items=alike,
        look_alike_judges=alike_judges,
        notices=tuple(sorted([*notices, *scores.notices], key=lambda notice: order.index(notice.kind))),
        cuts=cuts,
    )


def _of_forward_test(test: ForwardTest) -> Iterator[Notice]:
    if not test.correct.n:
        yield Notice(Kind.NOTHING_PREDICTED, {})
        return
    if test.better_than_chance is None:
        yield Notice(Kind.CANNOT_TELL, {"hits": Count(test.correct.hits), "n": Count(test.correct.n)})
        return
    kind = Kind.BETTER_THAN_CHANCE if test.better_than_chance else Kind.NO_BETTER_THAN_CHANCE
    yield Notice(kind, _share_values(test.correct) | {"promised": Percent(test.promised_share or 0.5)})


def _of_scores(scores: JudgingScores) -> Iterator[Notice]:
    if scores.decisions == 1:
        yield Notice(Kind.ONE_DECISION, {})
    for component in scores.components:
        if component.ssr is not None and component.ssr < 0:
            yield Notice(Kind.NEGATIVE_SSR, {"ssr": Figure(component.ssr)})
            break
    few = sum(item.comparisons < FEW_COMPARISONS for item in scores.items)
    if few:
        values = {"few": Count(few), "n": Count(len(scores.items)), "limit": FEW_COMPARISONS}
        yield Notice(Kind.FEW, values)


def _of_weak_links(links: tuple[WeakLink, ...]) -> Iterator[Notice]:
    for link in links[:_WEAK_LINKS_TOLD]:
        values = {
            "n": Count(link.decisions),
            "one": Names(link.one_side),
            "one_size": Count(len(link.one_side)),
            "other": Names(link.other_side),
            "other_size": Count(len(link.other_side)),
            "se": Figure(link.shift_se),
        }
        yield Notice(Kind.WEAK_LINK, values)
    if (further := len(links) - _WEAK_LINKS_TOLD) > 0:
        yield Notice(Kind.MORE_WEAK_LINKS, {"n": Count(further)})


def _of_separation(found: Separation) -> Iterator[Notice]:
    for cut in found.sets[:1]:
        values = {
            "winners": Names(cut.winners),
            "winners_size": Count(len(cut.winners)),
            "losers": Names(cut.losers),
            "losers_size": Count(len(cut.losers)),
            "n": Count(cut.decisions),
        }
        yield Notice(Kind.ONE_WAY, values)
    if single := sorted({*found.won_all, *found.lost_all}):
        yield Notice(Kind.WON_OR_LOST_ALL, {"n": Count(len(single)), "names": Names(single)})


def _of_position(found: PositionEffect | None) -> Iterator[Notice]:
    if found is None:
        return
    for judge in [judge for judge in found.judges if judge.flagged][:_JUDGES_TOLD]:
        share = judge.first
        first = share.share is not None and share.share > 0.5
        if not first:
            share = Share(
                share.n - share.hits,
                share.n,
                1 - (share.share or 0),
                1 - (share.upper or 0),
                1 - (share.lower or 0),
            )
        kind = Kind.JUDGE_FIRST if first else Kind.JUDGE_SECOND
        yield Notice(kind, _share_values(share) | {"judge": judge.judge})
    if found.matters and None not in (found.delta, found.delta_lower, found.delta_upper):
        delta = found.delta or 0.0
        values = {
            "chance": Percent(1 / (1 + math.exp(-delta))),
            "delta": Figure(delta),
            "lower": Figure(found.delta_lower or 0.0),
            "upper": Figure(found.delta_upper or 0.0),
        }
        yield Notice(Kind.POSITION, values)


def _of_judges(checks: tuple[JudgeCheck, ...]) -> Iterator[Notice]:
    if len(checks) < FEWEST_JUDGES:
        yield Notice(Kind.FEW_JUDGES, {"n": Count(len(checks))})
    for check in [check for check in checks if check.flagged][:_JUDGES_TOLD]:
        values = _share_values(check.agreement) | {
            "judge": check.judge,
            "limit": Percent(check.agreement_limit or 0.0),
            "infit": Figure(check.infit),
            "infit_limit": Figure(check.infit_limit or 0.0),
        }
        yield Notice(Kind.CONTRARY if check.verdict is Verdict.CONTRARY else Kind.DEVIATING, values)


def _of_adaptivity(found: Adaptivity) -> Iterator[Notice]:
    if found.adaptive and found.ratio_at_the_time is not None:
        yield Notice(Kind.ADAPTIVE, {"ratio": Figure(found.ratio_at_the_time)})


def _of_names(groups: tuple[tuple[str, ...], ...], kind: Kind) -> Iterator[Notice]:
    if groups:
        yield Notice(kind, {"names": Names(" = ".join(map(spelled, group)) for group in groups)})


def _of_ties(ties: Ties | None) -> Iterator[Notice]:
    if ties is not None:
        nu = max(ties.tie_parameters)
        values = {"ties": Count(ties.ties), "n": Count(ties.decisions), "chance": Percent(nu / (2 + nu))}
        yield Notice(Kind.TIES, values)


def _share_values(share: Share) -> dict[str, object]:
    return {
        "hits": Count(share.hits),
        "n": Count(share.n),
        "share": Percent(share.share or 0.0),
        "lower": Percent(share.lower or 0.0),
        "upper": Percent(share.upper or 0.0),
    }
