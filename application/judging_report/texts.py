"""The words of a judging report, in English and Swedish. Every language has every text: a test holds them to it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from application.judging_report.swedish import NOTICES as SWEDISH_NOTICES
from application.judging_report.swedish import TEXTS as SWEDISH
from domain.notices import ENGLISH, Kind


class Language(StrEnum):
    """Languages of a report."""

    ENGLISH = "en"
    SWEDISH = "sv"


class Texts(dict[str, str]):
    """Texts by name."""

    def columns(self, *names: str) -> tuple[str, ...]:
        """Headings of a table."""
        return tuple(self[f"col_{name}"] for name in names)


_ENGLISH: Final[Mapping[str, str]] = {
    "report": "Judging report",
    "untitled": "Comparative judgement of {items:text|texts}",
    "job_title": "Judging job {job}",
    "summary": "{decisions:decision|decisions} on {items:text|texts} by {judges:judge|judges}.",
    "intro": (
        "Judges saw two texts at a time and chose the better one. All choices together give each text a score. A score tells "
        "where a text stands among these texts; it is neither a grade nor a number of points."
    ),
    "trust": "What to know before relying on the numbers",
    "nothing": "No check found a reason for distrust.",
    "reliability_positive": (
        "The reliability of the scores (SSR, scale separation reliability) is {ssr}: by the model's own account, that share "
        "of the differences between scores is real and the rest is chance. 1 is the highest value; 0.8 is usually required."
    ),
    "reliability_negative": (
        "The reliability of the scores (SSR, scale separation reliability) is {ssr}, which is below 0: the scores differ less "
        "than their errors alone would make them. None of the differences counts as real; 0.8 is usually required."
    ),
    "reliability_none": "There is no single figure for reliability, because not all texts are connected or all scores are equal.",
    "table": "Table behind the figure",
    "not_printed": "This table has {n:row|rows} and is not printed. It is in the file that this page was printed from.",
    "scores": "Scores with 95 % intervals",
    "scores_say": (
        "The further to the right, the better the text was judged. Where lines overlap, the order of two texts is "
        "uncertain: {item}, in first place, could be anywhere from place {best} to {worst} of {n}."
    ),
    "scaled": "Scores on a scale, and grades",
    "scaled_says": (
        "The same scores in other units. The true score is the share of comparisons that a text is expected to win "
        "against every other text, times 100. Grades come from the anchors of this session; published ones are others' work."
    ),
    "boundaries": "Grade boundaries",
    "boundaries_say": "A boundary lies half way between the anchors of two neighbouring grades.",
    "boundaries_unclear": (
        "A boundary lies half way between the anchors of two neighbouring grades. Where anchors of a higher grade were "
        "judged no better there is no boundary: do not grade by these anchors."
    ),
    "no": "no",
    "logits": "score (1 apart: the higher one is chosen in 73 % of comparisons)",
    "forward": "Could the decisions be predicted?",
    "forward_good": (
        "Yes. Each decision was predicted from earlier ones alone, more often correctly than a tossed coin would be: "
        "the judges see a difference between the texts."
    ),
    "forward_bad": (
        "No. Predicted from earlier decisions alone, they came out no better than by chance. Do not rely on the scores."
    ),
    "forward_unknown": (
        "That cannot be told: the decisions do not clearly differ from tossed coins, nor from judges who see a difference. "
        "Judge more pairs, best ones drawn at random."
    ),
    "found": "predicted correctly",
    "promised": "promised by the scores",
    "chance": "tossed coin",
    "share_predicted": "share of decisions",
    "growth": "Reliability as it grew",
    "growth_says": "Where the line has become flat, further decisions of the same kind add little. The broken line is at 0.8.",
    "item_infit": "Texts on which judges do not agree (infit)",
    "misfits_none": "No text stands out: about 1 is as expected, and none is beyond the broken line.",
    "misfits_some": "{n:text lies|texts lie} beyond the broken line: decisions there do not fit the scores. Worth reading again.",
    "judges": "Does each judge agree with the others?",
    "judges_none": "No judge was found who clearly decides otherwise than the others.",
    "judges_some": "No. {names} decided otherwise than the rest. Talk to them, or look at the scores without them.",
    "agreement": "share of decisions as the other judges would have it",
    "position": "Is the text shown first preferred?",
    "position_none": "No: no judge takes the first or the second text clearly more often than every other time.",
    "position_some": "For {names} the position decides, not only the text: the broken line is at 50 %, and their intervals lie off it.",
    "share_first": "share of decisions for the text shown first",
    "matrix": "Who won against whom",
    "matrix_says": (
        "Each cell tells how often the text of the row was chosen over the text of the column; empty cells were not compared. "
        "Texts are in the order of scores: above the diagonal, blue cells are decisions as expected, red ones are upsets."
    ),
    "share_won": "share won",
    "next_pairs": "Pairs to compare next",
    "next_pairs_say": (
        "If judging goes on, these pairs tell most. Pairs that join groups or rest on a weak link come first. Some are drawn "
        "at random, so that the session can be tested against chance."
    ),
    "reason_joins_groups": "joins two groups",
    "reason_weak_link": "weak link",
    "reason_information": "tells most",
    "reason_random": "drawn at random",
    "surprises": "Most surprising decisions",
    "surprises_say": "These decisions went against the scores. A slip, a misread text, or something the other judges missed.",
    "decisions": "decisions",
    "yes": "yes",
    "none": "none",
    "method": "Computed by RAS (Result Aggregator Service), method {method}.",
    "verdict_agrees": "agrees",
    "verdict_deviating": "deviates",
    "verdict_contrary": "contrary",
    "verdict_cannot_tell": "cannot tell",
    "col_scaled": "on the scale",
    "col_true_score": "true score",
    "col_grade": "grade",
    "col_published_grade": "published grade",
    "col_meets_standard": "meets the standard",
    "col_boundary": "between",
    "col_rank": "place",
    "col_item": "text",
    "col_other": "against",
    "col_theta": "score",
    "col_se": "standard error",
    "col_se_full": "full standard error",
    "col_ranks": "places within the error",
    "col_firth": "penalised score",
    "col_comparisons": "comparisons",
    "col_wins": "wins",
    "col_what": "what",
    "col_share": "share",
    "col_lower": "from",
    "col_upper": "to",
    "col_decisions": "decisions",
    "col_items": "texts",
    "col_groups": "groups",
    "col_ssr": "SSR",
    "col_infit": "infit",
    "col_outfit": "outfit",
    "col_misfit": "misfit",
    "col_judge": "judge",
    "col_limit": "limit",
    "col_agreement": "agreement",
    "col_verdict": "verdict",
    "col_seconds": "seconds per decision",
    "col_first": "first chosen",
    "col_p": "p value",
    "col_reason": "why",
    "col_number": "decision",
    "col_chosen": "chosen",
    "col_not_chosen": "not chosen",
    "col_probability": "probability",
    "col_justification": "justification",
}

TEXTS: Final[Mapping[Language, Texts]] = {
    Language.ENGLISH: Texts(_ENGLISH),
    Language.SWEDISH: Texts(SWEDISH),
}
NOTICES: Final[Mapping[Language, Mapping[Kind, str]]] = {
    Language.ENGLISH: ENGLISH,
    Language.SWEDISH: SWEDISH_NOTICES,
}
