"""A comparative-judgement result of a batch: scores, grades and ranks that look like real ones."""

from __future__ import annotations

from random import Random
from typing import Final

from infrastructure.demo.message import Json
from infrastructure.demo.script import BatchScript

_GRADES: Final = ("A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "E", "F")
"""Best first; the normalised score falls in equal steps from 1 for an A to 1/12 for an F."""

_WHOLE_GRADES: Final = "ABCDEFU"
_ABILITY_SD: Final = 1.3
_GRADE_STEPS_PER_LOGIT: Final = 2.2


def essay_results(script: BatchScript, dice: Random) -> list[Json]:
    """Rank students and anchors together, best first, so that the students' ranks have gaps."""
    anchors = {f"ANCHOR_{dice.randint(20, 60)}_{number}" for number in range(script.anchors)}
    scores = {
        essay_id: round(dice.gauss(0, _ABILITY_SD), 6)
        for essay_id in (*script.surviving_essay_ids, *sorted(anchors))
    }
    best_first = sorted(scores, key=scores.__getitem__, reverse=True)
    return [
        _essay_result(dice, essay_id, rank, scores[essay_id], is_anchor=essay_id in anchors)
        for rank, essay_id in enumerate(best_first, start=1)
    ]


def assessment_metadata(script: BatchScript, dice: Random, results: list[Json]) -> Json:
    """Describe the job: each pair compared once, anchors counted where their grade is a whole one."""
    anchor_grades = [result["letter_grade"] for result in results if result["is_anchor"]]
    distribution = {grade: anchor_grades.count(grade) for grade in _WHOLE_GRADES} if script.anchors else {}
    return {
        "anchor_essays_used": script.anchors,
        "calibration_method": "anchor" if script.anchors else "default",
        "anchor_grade_distribution": distribution,
        "comparison_count": len(results) * (len(results) - 1) // 2,
        "processing_duration_seconds": round(dice.uniform(40, 400), 6),
        "llm_temperature": 0.0,
        "assignment_id": script.assignment_id,
        "course_code": script.course_code,
    }


def _essay_result(dice: Random, essay_id: str, rank: int, score: float, *, is_anchor: bool) -> Json:
    step = int(len(_GRADES) / 2 - score * _GRADE_STEPS_PER_LOGIT)
    step = min(max(step, 0), len(_GRADES) - 1)
    confidence = round(dice.uniform(0.3, 0.99), 4)
    return {
        "essay_id": essay_id,
        "normalized_score": round(1 - step / len(_GRADES), 4),
        "letter_grade": _GRADES[step],
        "confidence_score": confidence,
        "confidence_label": "HIGH" if confidence >= 0.75 else "MID" if confidence >= 0.5 else "LOW",
        "bt_score": score,
        "rank": rank,
        "is_anchor": is_anchor,
        "feedback_uri": None,
        "metrics_uri": None,
        "display_name": f"ANCHOR GRADE {_GRADES[step]}" if is_anchor else None,
    }
