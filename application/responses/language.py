"""What answers say of the language of an essay, and of its place in the ranking, for services that write feedback."""

from __future__ import annotations

from datetime import datetime
from typing import NotRequired

from typing_extensions import TypedDict

from application.responses.kinds import Count


class NlpMetrics(TypedDict):
    """What the language analysis measured, under upstream's names."""

    word_count: Count
    sentence_count: Count
    avg_sentence_length: float
    language_detected: str
    processing_time_ms: Count
    mean_zipf_frequency: float
    percent_tokens_zipf_below_3: float
    mtld_score: float
    hdd_score: float
    mean_dependency_distance: float
    phrasal_indices: dict[str, float]
    clausal_indices: dict[str, float]
    first_order_coherence: float
    second_order_coherence: float
    avg_bigram_pmi: float
    avg_trigram_pmi: float
    avg_bigram_npmi: float
    avg_trigram_npmi: float


class GrammarError(TypedDict):
    """An error that the language analysis found; `context` is a piece of the essay's text."""

    rule_id: str
    message: str
    short_message: str
    offset: Count
    length: Count
    replacements: list[str]
    category: str
    severity: str
    category_id: str
    category_name: str
    context: str
    context_offset: Count


class GrammarAnalysis(TypedDict):
    """How many errors there are, and of which categories and rules; the errors with `include=grammar_errors`."""

    error_count: Count
    language: str
    processing_time_ms: Count
    grammar_category_counts: dict[str, Count]
    grammar_rule_counts: dict[str, Count] | None
    analysed_at: datetime
    text_storage_id: str
    errors: NotRequired[list[GrammarError]]


class SpellingError(TypedDict):
    """A word that the language analysis found to be spelt wrongly (LanguageTool's category TYPOS)."""

    word: str
    suggestions: list[str]
    error_type: str
    context: str


class CjRanking(TypedDict):
    """The essay's place in its batch's ranking.

    `percentile`: the share of the other ranked essays of the batch that rank lower, in percent; 100 for one alone.
    `comparison_count`: the judges' decisions that RAS has seen, null where its read model is unavailable. Upstream's judging names no strengths and weaknesses.
    """

    job_id: str
    rank: Count
    ranked_essays: Count
    percentile: float
    score: float
    letter_grade: str
    confidence_score: float
    confidence_label: str
    comparison_count: Count | None
    relative_strengths: list[str]
    relative_weaknesses: list[str]
