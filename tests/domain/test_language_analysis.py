"""The language analyses of an essay: known by text and time, repeats by content, and nothing large is kept."""

from __future__ import annotations

import sys
from itertools import permutations
from typing import Any

import pytest

from domain.aggregate import DomainEvent
from domain.language_analysis import (
    MOST_SPELLING_ERRORS,
    LanguageAnalysisAggregate,
    LanguageAnalysisRecorded,
    analysis_stream_id,
    counts_by_category,
    essay_id_of,
    spelling_errors,
)
from tests.golden.expected_events import EXPECTED
from tests.support.given import caused_by, minute

GOLDEN = EXPECTED[LanguageAnalysisRecorded.topic]
assert isinstance(GOLDEN, LanguageAnalysisRecorded)
ERROR: dict[str, Any] = dict(GOLDEN.errors[0])


def record(
    analyses: LanguageAnalysisAggregate, *, at: int, text: str = "t1", words: int = 1, **more: Any
) -> None:
    """Tell `analyses` of an analysis; two of the same number of words are the same."""
    facts: dict[str, Any] = {"errors": (ERROR,), "is_dated": True, **more}
    analyses.record(
        text_storage_id=text,
        metrics={**GOLDEN.metrics, "word_count": words},  # type: ignore[attr-defined]
        grammar=GOLDEN.grammar,  # type: ignore[attr-defined]
        happened_at=minute(at),
        causation=caused_by(at),
        **facts,
    )


def standing(events: list[DomainEvent]) -> dict[str, tuple[Any, int]]:
    """Return for each text the time and the number of words of what stands."""
    found = {}
    for event in events:
        assert isinstance(event, LanguageAnalysisRecorded)
        found[event.text_storage_id] = (event.happened_at, event.metrics["word_count"])
    return found


def test_streams_are_named_by_the_essay() -> None:
    assert analysis_stream_id("e1") == "analysis-e1"
    assert essay_id_of(analysis_stream_id("analysis-e1")) == "analysis-e1"


def test_the_newest_analysis_of_each_text_stands_in_whichever_order_they_come() -> None:
    told = [("t1", 1, 10), ("t1", 3, 30), ("t1", 2, 20), ("t2", 1, 11), ("t1", 3, 30)]
    for order in permutations(told):
        analyses = LanguageAnalysisAggregate("analysis-e1")
        for text, at, words in order:
            record(analyses, at=at, text=text, words=words)

        events = analyses.collect_events()

        assert standing(events) == {"t1": (minute(3), 30), "t2": (minute(1), 11)}
        assert LanguageAnalysisAggregate.replay("analysis-e1", events).size == 2


def test_of_two_analyses_of_one_moment_the_first_stands() -> None:
    analyses = LanguageAnalysisAggregate("analysis-e1")
    record(analyses, at=1, words=1)
    record(analyses, at=1, words=2)

    assert standing(analyses.collect_events()) == {"t1": (minute(1), 1)}


@pytest.mark.parametrize("is_replayed", [False, True])
def test_without_a_time_of_its_own_a_repeat_is_known_by_its_content(is_replayed: bool) -> None:
    analyses = LanguageAnalysisAggregate("analysis-e1")
    record(analyses, at=1, words=1, is_dated=False)
    if is_replayed:
        analyses = LanguageAnalysisAggregate.replay("analysis-e1", analyses.collect_events())
    analyses.collect_events()

    record(analyses, at=2, words=1, is_dated=False)
    assert not analyses.pending_events
    record(analyses, at=3, words=2, is_dated=False)
    assert len(analyses.collect_events()) == 1


def test_the_aggregate_keeps_nothing_of_a_large_analysis() -> None:
    analyses = LanguageAnalysisAggregate("analysis-e1")
    record(analyses, at=1, errors=tuple({**ERROR, "context": "x" * 1000, "offset": n} for n in range(1000)))
    analyses.collect_events()

    assert analyses.size == 1
    assert _weight(vars(analyses)) < 2000


def _weight(value: Any) -> int:
    parts = (
        [*value, *value.values()]
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return sys.getsizeof(value) + sum(map(_weight, parts))


def test_categories_are_counted_where_upstream_did_not_count_them() -> None:
    errors = [{**ERROR, "category_id": name} for name in ("GRAMMAR", "TYPOS", "GRAMMAR")]

    assert counts_by_category({"grammar_category_counts": None}, errors) == {"GRAMMAR": 2, "TYPOS": 1}
    assert counts_by_category({"grammar_category_counts": {"STYLE": 7}}, errors) == {"STYLE": 7}


def test_spelling_errors_have_the_names_of_upstreams_client_and_a_bound() -> None:
    assert spelling_errors([ERROR, {**ERROR, "category_id": "GRAMMAR"}]) == [
        {
            "word": "räksmörgåss",
            "suggestions": ["räksmörgås"],
            "error_type": "misspelling",
            "context": "åt en räksmörgåss",
        }
    ]
    assert len(spelling_errors([ERROR] * 500)) == MOST_SPELLING_ERRORS


def test_a_place_beyond_the_context_gives_no_word() -> None:
    [found] = spelling_errors([{**ERROR, "context_offset": 2**31 - 1, "length": 2**31 - 1}])
    assert found["word"] == ""


def test_only_its_own_events_can_be_folded() -> None:
    with pytest.raises(TypeError):
        LanguageAnalysisAggregate("analysis-e1").apply(EXPECTED["ras.inbox.notification-read.v1"])
