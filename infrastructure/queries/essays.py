"""What is asked of one essay: its part in a batch, and the language analysis that belongs to it.

An essay may be in several batches, and these may be of several teachers. An answer is about one batch. The analysis of
its language names no batch, and quotes the text: where the essay is in another teacher's batch too, only an analysis
of a text that this batch itself knows is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from application.responses.batches import FeedbackMembers
from application.responses.language import CjRanking, GrammarAnalysis
from infrastructure.queries.standings import LETTER

_OTHERS: Final = """
    SELECT FROM ras_batch_results.essays y JOIN ras_batch_results.batches c ON c.batch_id = y.batch_id
    WHERE y.essay_id = x.essay_id AND c.user_id <> b.user_id
"""
ESSAY_QUERY: Final = f"""
    SELECT b.user_id, b.class_id, b.course_code, b.assignment_id, b.status, b.position, b.assessed_at,
        b.named_phases, b.student_prompt_ref, x.*,
        (SELECT json_object_agg(p.phase, json_build_array(p.status, p.failed_essay_ids))
         FROM ras_batch_results.phases p WHERE p.batch_id = b.batch_id) AS outcomes,
        r.rank, r.bt_score, r.normalized_score, r.letter_grade, r.confidence_score, r.confidence_label, r.job_id,
        greatest(x.last_updated, r.assessed_at) AS changed_at, {LETTER} AS letter,
        EXISTS (SELECT FROM ras_batch_results.essays y WHERE y.batch_id = b.batch_id
            AND y.ordinal IS NOT NULL AND y.spellcheck_status IS NOT NULL) AS has_spellchecks,
        ranked.ranked, ranked.lower,
        EXISTS ({_OTHERS} AND y.ordinal IS NOT NULL) AS is_shared,
        EXISTS ({_OTHERS}) AS has_strangers
    FROM ras_batch_results.essays x
    LEFT JOIN ras_batch_results.rankings r ON r.batch_id = x.batch_id AND r.essay_id = x.essay_id
    JOIN ras_batch_results.batches b ON b.batch_id = x.batch_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS ranked, count(*) FILTER (WHERE q.rank > r.rank) AS lower
        FROM ras_batch_results.rankings q CROSS JOIN LATERAL (
            SELECT FROM ras_batch_results.essays y
            WHERE y.batch_id = q.batch_id AND y.essay_id = q.essay_id AND y.ordinal IS NOT NULL LIMIT 1
        ) registered
        WHERE q.batch_id = b.batch_id
    ) ranked
    WHERE x.essay_id = %(essay_id)s AND x.ordinal IS NOT NULL AND b.user_id IS NOT NULL
        AND (%(batch_id)s ::text IS NULL OR b.batch_id = %(batch_id)s)
        AND (%(teacher)s ::text IS NULL OR b.user_id = %(teacher)s)
    ORDER BY b.registered_at DESC, b.batch_id LIMIT 1
"""
ANALYSIS_QUERY: Final = """
    SELECT text_storage_id, analysed_at, metrics, grammar, spelling_errors, position,
        CASE WHEN %(with_errors)s THEN errors END AS errors
    FROM ras_language_analyses.analyses
    WHERE essay_id = %(essay_id)s AND (%(texts)s ::text[] IS NULL OR text_storage_id = ANY (%(texts)s))
    ORDER BY analysed_at DESC, position LIMIT 1
"""
LANGUAGE_FIGURES_QUERY: Final = f"""
    SELECT DISTINCT ON (x.essay_id) x.essay_id,
        (a.metrics ->> 'word_count')::bigint AS words, (a.grammar ->> 'error_count')::bigint AS language_errors
    FROM ras_batch_results.essays x
    JOIN ras_batch_results.batches b ON b.batch_id = x.batch_id
    JOIN ras_language_analyses.analyses a ON a.essay_id = x.essay_id
    WHERE x.batch_id = %(batch_id)s AND x.ordinal IS NOT NULL AND x.essay_id = ANY (%(essay_ids)s ::text[])
        AND (a.text_storage_id IN (x.text_storage_id, x.spellcheck_corrected_text_id) OR NOT EXISTS ({_OTHERS}))
    ORDER BY x.essay_id, a.analysed_at DESC, a.position
"""
ANALYSED_QUERY: Final = f"""
    SELECT b.batch_id, count(*) AS analysed FROM ras_batch_results.batches b
    JOIN ras_batch_results.essays x ON x.batch_id = b.batch_id AND x.ordinal IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT FROM ras_language_analyses.analyses a WHERE a.essay_id = x.essay_id
            AND (a.text_storage_id IN (x.text_storage_id, x.spellcheck_corrected_text_id) OR NOT EXISTS ({_OTHERS}))
        LIMIT 1
    ) analysed
    WHERE b.batch_id = ANY (%(batch_ids)s ::text[]) GROUP BY b.batch_id
"""
"""How many essays of a batch have an analysis that is shown; looked up by key, essay by essay."""
COMPARISONS_QUERY: Final = """
    SELECT coalesce(sum(judged), 0)::bigint AS judged FROM ras_assessments.comparison_matrix
    WHERE job_id = %(job_id)s AND %(essay_id)s IN (item_a, item_b)
"""


def feedback_members(
    row: Mapping[str, Any], analysis: Mapping[str, Any] | None, comparisons: int | None
) -> FeedbackMembers:
    """Return what upstream's decision on AI feedback names, of an essay's row, its analysis and its comparisons."""
    checked = row["spellcheck_metrics"]
    return {
        "owner_user_id": row["user_id"],
        "corrected_text_storage_id": row["spellcheck_corrected_text_id"],
        "original_text_storage_id": row["text_storage_id"],
        "student_prompt_ref": row["student_prompt_ref"],
        "word_count": analysis["metrics"]["word_count"] if analysis else checked and checked["word_count"],
        "nlp_metrics": analysis["metrics"] if analysis else None,
        "grammar_analysis": _grammar(analysis) if analysis else None,
        "spelling_errors": analysis["spelling_errors"] if analysis else [],
        "cj_ranking": None if row["rank"] is None else _ranking(row, comparisons),
    }


def _grammar(analysis: Mapping[str, Any]) -> GrammarAnalysis:
    counted = analysis["grammar"]
    whole: GrammarAnalysis = {
        "error_count": counted["error_count"],
        "language": counted["language"],
        "processing_time_ms": counted["processing_time_ms"],
        "grammar_category_counts": counted["grammar_category_counts"],
        "grammar_rule_counts": counted["grammar_rule_counts"],
        "analysed_at": analysis["analysed_at"],
        "text_storage_id": analysis["text_storage_id"],
    }
    if analysis["errors"] is not None:
        whole["errors"] = analysis["errors"]
    return whole


def _ranking(row: Mapping[str, Any], comparisons: int | None) -> CjRanking:
    others = row["ranked"] - 1
    return {
        "job_id": row["job_id"],
        "rank": row["rank"],
        "ranked_essays": row["ranked"],
        "percentile": round(100 * row["lower"] / others, 1) if others > 0 else 100.0,
        "score": row["bt_score"],
        "letter_grade": row["letter_grade"],
        "confidence_score": row["confidence_score"],
        "confidence_label": row["confidence_label"],
        "comparison_count": comparisons,
        "relative_strengths": [],
        "relative_weaknesses": [],
    }
