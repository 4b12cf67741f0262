"""Language analyses in upstream's own words: what its service says of one essay's text."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Final

from application import topics
from infrastructure.demo.message import Json, UpstreamMessage, enveloped, wire_time
from infrastructure.demo.script import BatchScript, draw_uuid, seeded

_CONTEXT: Final = "went to thier house"
_NOT_MEASURED: Final = (
    "first_order_coherence",
    "second_order_coherence",
    "avg_bigram_pmi",
    "avg_trigram_pmi",
    "avg_bigram_npmi",
    "avg_trigram_npmi",
)
"""Metrics that upstream's service sends as 0 today."""


def language_analysis(
    script: BatchScript, essay_id: str, text_storage_id: str, *, begins: datetime
) -> UpstreamMessage:
    """Return the analysis of an essay's text, made soon after `begins`. It names no batch, as upstream's does not."""
    dice = seeded(script.seed, essay_id, "language")
    at = begins + timedelta(seconds=dice.uniform(0.3, 4.0))
    errors = [_spelling_error(17 * number) for number in range(dice.randint(1, 9))]
    trace_id, span_id = dice.getrandbits(128), dice.getrandbits(64)
    return enveloped(
        topics.ESSAY_NLP_COMPLETED,
        essay_id,
        data={
            "event_name": "essay.nlp.completed",
            "entity_id": essay_id,
            "entity_type": "essay",
            "parent_id": None,
            "timestamp": wire_time(at),
            "essay_id": essay_id,
            "text_storage_id": text_storage_id,
            "nlp_metrics": _metrics(dice),
            "grammar_analysis": {
                "error_count": len(errors),
                "errors": errors,
                "language": "en-GB",
                "processing_time_ms": 0,
                "grammar_category_counts": {"TYPOS": len(errors)},
                "grammar_rule_counts": None,
            },
            "processing_metadata": {"source": "nlp_service", "phase": "phase_2_analysis"},
        },
        metadata={"traceparent": f"00-{trace_id:032x}-{span_id:016x}-01"},
        event_id=draw_uuid(dice),
        correlation_id=script.correlation_id,
        sent_at=at + timedelta(milliseconds=dice.randint(1, 80)),
    )


def _metrics(dice: Random) -> Json:
    words, sentences = dice.randint(300, 800), dice.randint(20, 50)
    return {
        "word_count": words,
        "sentence_count": sentences,
        "avg_sentence_length": round(words / sentences + 0.005, 2),
        "language_detected": "en",
        "processing_time_ms": dice.randint(300, 1500),
        "mean_zipf_frequency": round(dice.uniform(4.5, 5.5), 3),
        "percent_tokens_zipf_below_3": 0.0,
        "mtld_score": round(dice.uniform(60, 120), 2),
        "hdd_score": 0.0,
        "mean_dependency_distance": 0.0,
        "phrasal_indices": {},
        "clausal_indices": {},
        **dict.fromkeys(_NOT_MEASURED, 0.0),
    }


def _spelling_error(offset: int) -> Json:
    return {
        "rule_id": "MORFOLOGIK_RULE_EN_GB",
        "message": "Possible spelling mistake found.",
        "short_message": "Spelling mistake",
        "offset": offset,
        "length": 5,
        "replacements": ["their"],
        "category": "misspelling",
        "severity": "info",
        "category_id": "TYPOS",
        "category_name": "Possible Typo",
        "context": _CONTEXT,
        "context_offset": 8,
    }
