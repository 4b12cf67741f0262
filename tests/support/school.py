"""The query API with a way to let upstream speak: what tests of answers over HTTP begin from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from domain.language_analysis import LanguageAnalysisAggregate, analysis_stream_id
from projections.recorded import Recorded
from tests.support.given import Message, caused_by, minute
from tests.support.http import Api, api
from tests.support.projecting import Chain
from tests.support.rest_contract import check_body

METRICS: Final[dict[str, Any]] = {
    "word_count": 300,
    "sentence_count": 20,
    "avg_sentence_length": 15.5,
    "language_detected": "en",
    "processing_time_ms": 800,
    "mean_zipf_frequency": 5.1,
    "percent_tokens_zipf_below_3": 0.1,
    "mtld_score": 80.5,
    "hdd_score": 0.8,
    "mean_dependency_distance": 2.4,
    "phrasal_indices": {"noun_phrase_length": 2.5},
    "clausal_indices": {"clauses_per_sentence": 1.5},
    "first_order_coherence": 0.5,
    "second_order_coherence": 0.25,
    "avg_bigram_pmi": 1.5,
    "avg_trigram_pmi": 2.5,
    "avg_bigram_npmi": 0.5,
    "avg_trigram_npmi": 0.25,
}
GRAMMAR: Final[dict[str, Any]] = {
    "error_count": 0,
    "language": "en-GB",
    "processing_time_ms": 90,
    "grammar_category_counts": None,
    "grammar_rule_counts": None,
}
MISSPELT: Final[dict[str, Any]] = {
    "rule_id": "MORFOLOGIK_RULE_EN_GB",
    "message": "Possible spelling mistake found.",
    "short_message": "Spelling mistake",
    "offset": 12,
    "length": 5,
    "replacements": ["their", "there"],
    "category": "misspelling",
    "severity": "info",
    "category_id": "TYPOS",
    "category_name": "Possible Typo",
    "context": "we went to thier house",
    "context_offset": 11,
}
UNGRAMMATICAL: Final[dict[str, Any]] = {
    **MISSPELT,
    "rule_id": "SUBJECT_VERB_AGREEMENT",
    "category": "grammar",
    "category_id": "GRAMMAR",
    "context": "the houses is red",
}


@dataclass
class School:
    """One installation. Tests that share it take batches and teachers of their own."""

    api: Api
    chain: Chain
    url: str
    teachers: Iterator[str] = field(default_factory=lambda: map("teacher-{:04d}".format, range(8, 10_000)))

    def hear(
        self, batch_id: str, *messages: Message, received: Sequence[int] | None = None
    ) -> list[Recorded]:
        """Let upstream say `messages` of a batch, and event store and read models know; return what was recorded.

        `received` are the minutes at which RAS took them in; one long after the story where not given.
        """
        batch = self.chain.batch(batch_id)
        for number, message in enumerate(messages):
            causation = caused_by(batch.version)
            if received is not None:
                causation = replace(causation, received_at=minute(received[number]))
            message.tell(batch, causation)
        events = batch.collect_events()
        self.chain.record(events)
        return self.chain.project(events)

    def analyse(
        self,
        essay_id: str,
        *,
        at: int = 15,
        words: int = 300,
        text: str = "text-2",
        errors: Sequence[dict[str, Any]] = (),
        categories: dict[str, int] | None = None,
    ) -> list[Recorded]:
        """Let upstream's language analysis of an essay's text be known."""
        stream_id = analysis_stream_id(essay_id)
        analyses = self.chain.aggregates.setdefault(stream_id, LanguageAnalysisAggregate(stream_id))
        assert isinstance(analyses, LanguageAnalysisAggregate)
        analyses.record(
            text_storage_id=text,
            metrics={**METRICS, "word_count": words},
            grammar={**GRAMMAR, "error_count": len(errors), "grammar_category_counts": categories},
            errors=tuple(errors),
            is_dated=True,
            happened_at=minute(at),
            causation=caused_by(analyses.version),
        )
        events = analyses.collect_events()
        self.chain.record(events)
        return self.chain.project(events)

    def status(self, batch_id: str) -> dict[str, Any]:
        """Return how a batch stands."""
        body = self._answer(f"/internal/v1/batches/{batch_id}/status")
        check_body("batch-status", body)
        return body

    def mine(self, teacher: str, query: str = "") -> dict[str, Any]:
        """Return a page of a teacher's batches."""
        body = self._answer(f"/internal/v1/batches/user/{teacher}{query}")
        check_body("user-batches", body)
        return body

    def analysis(self, essay_id: str, query: str = "") -> dict[str, Any]:
        """Return everything known of an essay."""
        return self._answer(f"/internal/v1/essays/{essay_id}/aggregated-analysis{query}")

    def inbox(self, teacher: str, query: str = "") -> dict[str, Any]:
        """Return a page of a teacher's inbox."""
        return self._answer(f"/internal/v1/teachers/{teacher}/notifications{query}")

    def _answer(self, path: str) -> dict[str, Any]:
        response = self.api.get(path)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


@contextmanager
def school_on(database_url: str, **settings: Any) -> Iterator[School]:
    """An installation on an empty database; `settings` are those of RAS."""
    chain = Chain(database_url)
    with api(database_url, **settings) as answering:
        yield School(answering, chain, database_url)
