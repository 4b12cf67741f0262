"""What a reader of the numbers should know, in one sentence each: the same in terminal, app and report.

A notice is a kind and the values in it. `sentence` writes it in English; the report has the other languages
(`application.judging_report.swedish`). Warnings are about trust in the numbers; notes only tell what was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """The kinds of notices, in the order in which they are reported."""

    NO_BETTER_THAN_CHANCE = "no_better_than_chance"
    ONE_DECISION = "one_decision"
    NEGATIVE_SSR = "negative_ssr"
    ITSELF = "itself"
    GROUPS = "groups"
    WEAK_LINK = "weak_link"
    MORE_WEAK_LINKS = "more_weak_links"
    ONE_WAY = "one_way"
    WON_OR_LOST_ALL = "won_or_lost_all"
    BALANCED = "balanced"
    JUDGE_FIRST = "judge_first"
    JUDGE_SECOND = "judge_second"
    POSITION = "position"
    CONTRARY = "contrary"
    DEVIATING = "deviating"
    ADAPTIVE = "adaptive"
    FEW = "few"
    LOOK_ALIKES = "look_alikes"
    LOOK_ALIKE_JUDGES = "look_alike_judges"
    CANNOT_TELL = "cannot_tell"
    NOTHING_PREDICTED = "nothing_predicted"
    BETTER_THAN_CHANCE = "better_than_chance"
    FEW_JUDGES = "few_judges"
    TIES = "ties"
    APPROXIMATED = "approximated"


NOTES: Final = frozenset(
    {
        Kind.CANNOT_TELL,
        Kind.NOTHING_PREDICTED,
        Kind.BETTER_THAN_CHANCE,
        Kind.FEW_JUDGES,
        Kind.TIES,
        Kind.APPROXIMATED,
    }
)


@dataclass(frozen=True, slots=True)
class Notice:
    """`values` are what the template of its kind names, of the types in `domain.wording`."""

    kind: Kind
    values: Mapping[str, Any]

    @property
    def is_warning(self) -> bool:
        """Whether it is about trust in the numbers."""
        return self.kind not in NOTES


ENGLISH: Final[Mapping[Kind, str]] = {
    Kind.NO_BETTER_THAN_CHANCE: (
        "Forward test: no better than chance. Each decision was predicted from the decisions before it; "
        "{hits} of {n:decision|decisions} came out as predicted ({share:.}, 95 % interval {lower:.} to {upper:.}; "
        "chance gives 50 %, the final scores promise {promised:.}). Do not rely on these scores, whatever SSR and "
        "split-half reliability are."
    ),
    Kind.ONE_DECISION: "There is only one decision: it places two texts, and nothing can be told of its errors.",
    Kind.NEGATIVE_SSR: (
        "SSR is negative ({ssr:.}): the errors are larger than the spread of the scores, so the order of the texts "
        "tells nothing yet."
    ),
    Kind.ITSELF: (
        "{itself:decision compares|decisions compare} a text with itself ({names:and}); each such decision counts as "
        "two comparisons and one win of that text."
    ),
    Kind.GROUPS: (
        "The comparisons fall into {n:group|groups} of texts that no decision connects; scores, errors and "
        "reliability hold within a group, and there is no ranking across groups."
    ),
    Kind.WEAK_LINK: (
        "Weak link: {n:decision joins|decisions join} {one:and} ({one_size:text|texts}) and {other:and} "
        "({other_size:text|texts}). Each difference between the two groups has a standard error of at least "
        "{se:.} logits, however small the standard errors of the texts are, and a few decisions the other way could "
        "swap the groups. Judge pairs of one text from each group."
    ),
    Kind.MORE_WEAK_LINKS: "{n:further weak link was|further weak links were} found.",
    Kind.ONE_WAY: (
        "One way only: {winners:and} ({winners_size:text|texts}) won {n:decision|decisions} with {losers:and} "
        "({losers_size:text|texts}) and lost none. How far apart the two sets are is not in the decisions; it rests "
        "on the adjustment of the scores. Compare the penalised scores (Firth)."
    ),
    Kind.WON_OR_LOST_ALL: (
        "{n:text|texts} won or lost every comparison ({names:and}): how far from the rest is not in the decisions; it "
        "rests on the adjustment of the scores. Compare the penalised scores (Firth)."
    ),
    Kind.BALANCED: (
        "(Nearly) all decisions between some sets of texts went one way, so that the usual scores would rest on "
        "their adjustment alone. These scores also count each text as compared with one imaginary text, with a part "
        "of a win and of a loss: they stay finite, and move smoothly with each further decision."
    ),
    Kind.JUDGE_SECOND: (
        "Judge {judge} chose the text shown second in {hits} of {n:decision|decisions} ({share:.}, 95 % interval "
        "{lower:.} to {upper:.}; 50 % is expected): the position decides, not only the text."
    ),
    Kind.JUDGE_FIRST: (
        "Judge {judge} chose the text shown first in {hits} of {n:decision|decisions} ({share:.}, 95 % interval "
        "{lower:.} to {upper:.}; 50 % is expected): the position decides, not only the text."
    ),
    Kind.POSITION: (
        "The position matters: of two equal texts the one shown first is chosen in {chance:.} of comparisons (order "
        "effect {delta:.} logits, 95 % interval {lower:.} to {upper:.}). Compare the scores with and without it."
    ),
    Kind.CONTRARY: (
        "Judge {judge} decides contrary to the others: agreement in {hits} of {n:decision|decisions} ({share:.}, 95 % "
        "interval {lower:.} to {upper:.}; limit {limit:.}), infit {infit:.} (limit {infit_limit:.})."
    ),
    Kind.DEVIATING: (
        "Judge {judge} decides otherwise than the others: agreement in {hits} of {n:decision|decisions} ({share:.}, "
        "95 % interval {lower:.} to {upper:.}; limit {limit:.}), infit {infit:.} (limit {infit_limit:.})."
    ),
    Kind.ADAPTIVE: (
        "Pairs were chosen adaptively: by the scores at the time, judged pairs were {ratio:.} times as far apart as "
        "pairs drawn at random would be. Such pairing inflates SSR and split-half reliability, so rely on the forward "
        "test, and do not compare SSR with that of sessions whose pairs were random."
    ),
    Kind.FEW: (
        "{few} of {n:text|texts} had fewer than {limit} comparisons: such places may well change with more decisions."
    ),
    Kind.LOOK_ALIKES: (
        "Names that look alike are kept apart as different texts: {names:and}. If they mean the same text, write "
        "them the same way and score again."
    ),
    Kind.LOOK_ALIKE_JUDGES: (
        "Names that look alike are kept apart as different judges: {names:and}. If they mean the same judge, write "
        "them the same way and score again."
    ),
    Kind.CANNOT_TELL: (
        "Forward test: cannot tell. {hits} of {n:decision|decisions} that could be predicted from those before came out "
        "as predicted: too little evidence to tell the judges from tossed coins, whatever SSR is. Judge more pairs; "
        "pairs drawn at random tell most."
    ),
    Kind.NOTHING_PREDICTED: (
        "Forward test: cannot tell. No decision could be predicted from those before it, because none had shown that one "
        "of the two is ahead. Judge more pairs."
    ),
    Kind.BETTER_THAN_CHANCE: (
        "Forward test: better than chance. Each decision was predicted from the decisions before it; {hits} of "
        "{n:decision|decisions} came out as predicted ({share:.}, 95 % interval {lower:.} to {upper:.}; chance gives "
        "50 %, the final scores promise {promised:.})."
    ),
    Kind.FEW_JUDGES: (
        "With {n:judge|judges} nobody can tell which judge decides otherwise than the rest: three are needed."
    ),
    Kind.TIES: (
        "{ties} of {n:comparison was|comparisons were} undecided. They count half a win on each side (Davidson's "
        "model); two equal texts would be undecided in {chance:.} of comparisons."
    ),
    Kind.APPROXIMATED: (
        "With more than {limit:connected text|connected texts}, full standard errors and intervals are estimated from {draws} "
        "draws: they are known to about 6 %."
    ),
}


def sentence(notice: Notice, templates: Mapping[Kind, str] = ENGLISH) -> str:
    """The notice as a sentence."""
    written = templates[notice.kind].format(**notice.values)
    return written[0].upper() + written[1:]
