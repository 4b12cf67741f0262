"""A whole design for a judging session: which judge compares which two texts, and which is shown first.

The texts stand in a circle, and a *round* joins each with the one d places further on (a cyclic design: J. A. John
1966, *Journal of the Royal Statistical Society B* 28(2), 345-360; for paired comparisons H. A. David 1963,
*Biometrika* 50(1/2), 87-97). What follows from that:

- every text is compared twice per round, once shown first and once second;
- rounds with different d have no pair in common, so no pair comes twice;
- the design is connected if and only if the distances and the number of texts have no common divisor.

An odd number of comparisons adds half a round: with an even number of texts each meets the one opposite, with an odd
number every second pair of a round is taken, and one text is compared once more than the others.

Without earlier scores the circle is drawn at random, and so are the distances. With them it goes up by every second
text and down by the others, so that neighbours are near in score, and the smallest distances are taken, except for a
random share of the rounds. Judging near pairs only inflates SSR (`domain.adaptivity`); the random share shows it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

RANDOM_SHARE = 0.2
SEED = 20660101
_HALF_ROUND = 2
"""Has no common divisor with an odd number of texts, so that its round is one circle of all of them."""


class PlanError(ValueError):
    """There is no such design; the text says why and what to change."""


class ComparisonsError(PlanError):
    """So many comparisons of each text make no design."""


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """One comparison; `first` is shown first. `at_random` says that the distance was drawn at random."""

    judge: str
    first: str
    second: str
    at_random: bool


@dataclass(frozen=True, slots=True)
class JudgeProgress:
    """How far one judge is: pairs planned, those of them decided, and decisions on other pairs."""

    judge: str
    planned: int
    decided: int
    outside: int

    @property
    def left(self) -> int:
        """Planned pairs that wait for a decision."""
        return self.planned - self.decided


def plan_judging(
    items: Sequence[str],
    judges: Sequence[str],
    per_item: int,
    *,
    limits: Mapping[str, int] | None = None,
    scores: Mapping[str, float] | None = None,
    random_share: float = RANDOM_SHARE,
    seed: int = SEED,
) -> tuple[PlannedPair, ...]:
    """Plan `per_item` comparisons of each item; the same arguments give the same plan.

    `limits` are the most decisions of a judge (others: no limit). `scores` are earlier ones, of all items or none.
    Pairs are in the order in which each judge should judge them. Raises PlanError.
    """
    _check(items, judges, per_item, scores)
    generator = np.random.RandomState(seed)
    n = len(items)
    circle = _circle(items, scores, generator)
    pairs = [
        (circle[i], circle[j], at_random)
        for i, j, at_random in _rounds(n, per_item, 1.0 if scores is None else random_share, generator)
    ]
    order = generator.permutation(len(pairs)).tolist()
    return _dealt([pairs[k] for k in order], judges, limits or {})


def progress(
    plan: Sequence[PlannedPair], decided: Sequence[tuple[str, str, str]]
) -> tuple[JudgeProgress, ...]:
    """Compare `decided` (judge, text, other text) with the plan, in either order of the texts; judges by name."""
    planned = Counter((pair.judge, *sorted((pair.first, pair.second))) for pair in plan)
    done = Counter((judge, *sorted((one, other))) for judge, one, other in decided)
    found = []
    for judge in sorted({key[0] for key in (*planned, *done)}):
        own = {key: count for key, count in done.items() if key[0] == judge}
        hits = sum(min(count, planned[key]) for key, count in own.items())
        quota = sum(count for key, count in planned.items() if key[0] == judge)
        found.append(JudgeProgress(judge, quota, hits, sum(own.values()) - hits))
    return tuple(found)


def _check(
    items: Sequence[str], judges: Sequence[str], per_item: int, scores: Mapping[str, float] | None
) -> None:
    for names, kind in ((items, "text"), (judges, "judge")):
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise PlanError(f"the {kind} {twice[0]!r} is given twice")
        if "" in names:
            raise PlanError(f"the name of a {kind} is empty")
    if len(items) < 2:
        raise PlanError("a plan needs two texts or more")
    if not judges:
        raise PlanError("a plan needs a judge")
    if per_item < 1 or per_item > len(items) - 1:
        raise ComparisonsError(
            f"each of {len(items)} texts can be compared 1 to {len(items) - 1} times without a pair coming twice, "
            f"not {per_item} times"
        )
    if per_item == 1 and len(items) > 2:
        raise ComparisonsError("with one comparison per text nothing connects the pairs; use 2 or more")
    if scores is not None and (missing := [item for item in items if item not in scores]):
        raise PlanError(f"there is a score for some texts, and none for {missing[0]!r}")


def _circle(
    items: Sequence[str], scores: Mapping[str, float] | None, generator: np.random.RandomState
) -> list[str]:
    drawn = [items[k] for k in generator.permutation(len(items)).tolist()]
    if scores is None:
        return drawn
    drawn.sort(key=lambda item: scores[item])
    return drawn[::2] + drawn[1::2][::-1]


def _rounds(
    n: int, per_item: int, random_share: float, generator: np.random.RandomState
) -> list[tuple[int, int, bool]]:
    """Pairs of places on the circle, the first shown first, and whether their distance was drawn."""
    whole = list(range(1, (n - 1) // 2 + 1))
    rounds, odd = divmod(per_item, 2)
    if odd and n % 2:
        whole.remove(_HALF_ROUND)
    drawn = min(round(random_share * rounds), rounds)
    near = whole[: rounds - drawn]
    rest = [whole[k] for k in generator.permutation(len(whole)).tolist() if whole[k] not in near]
    distances = [*near, *rest[:drawn]]
    if distances and math.gcd(n, *distances) > 1:
        distances[-1] = 1  # not in the list, or the divisor would be 1
    found = [(i, (i + d) % n, d not in near) for d in distances for i in range(n)]
    if odd and n % 2 == 0:
        half = n // 2
        # Every second one the other way round, so that neighbours on the circle balance each other.
        found += [(i, i + half, True) if i % 2 else (i + half, i, True) for i in range(half)]
    elif odd:
        d = _HALF_ROUND
        found += [(k * d % n, (k + 1) * d % n, True) for k in range(0, n, 2)]
    return found


def _dealt(
    pairs: Sequence[tuple[str, str, bool]], judges: Sequence[str], limits: Mapping[str, int]
) -> tuple[PlannedPair, ...]:
    """Each pair to the judge with the fewest so far, of those the one who has seen its texts least."""
    room = sum(min(limits.get(judge, len(pairs)), len(pairs)) for judge in judges)
    if room < len(pairs):
        raise PlanError(
            f"{len(pairs)} comparisons are planned, and the judges together may make {room}; raise the limit, "
            "add judges or plan fewer comparisons per text"
        )
    given = dict.fromkeys(judges, 0)
    seen: Counter[tuple[str, str]] = Counter()
    by_judge: dict[str, list[PlannedPair]] = {judge: [] for judge in judges}
    for first, second, at_random in pairs:
        open_ = [judge for judge in judges if given[judge] < limits.get(judge, len(pairs))]
        fewest = min(given[judge] for judge in open_)
        judge = min(
            (judge for judge in open_ if given[judge] == fewest),
            key=lambda judge: seen[judge, first] + seen[judge, second],
        )
        given[judge] += 1
        seen[judge, first] += 1
        seen[judge, second] += 1
        by_judge[judge].append(PlannedPair(judge, first, second, at_random))
    return tuple(pair for judge in judges for pair in by_judge[judge])
