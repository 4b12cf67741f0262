"""Batches that go through more than one pipeline, or through one again: played in order, and between topics in any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from random import Random
from typing import Any, Final

import pytest

from application.topics import INPUT_TOPICS
from application.translate import Rejection, translate
from domain.aggregate import DomainEvent
from domain.announcement_check import check_announcements
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.notifications import correlation_id_of, teacher_notification
from domain.parking import ParkableStream
from domain.values import CLIENT_STATUS
from tests.support.deciding import batches_among, decide
from tests.support.upstream import RECEIVED_AT, StreamLine, expectations, scenario

NAME: Final = "two-pipelines"
BATCHES: Final = {expected["label"]: batch_id for batch_id, expected in expectations(NAME)["batches"].items()}
LABELS: Final = sorted(BATCHES)
SHUFFLES: Final = range(60)

ANNOUNCED: Final[dict[str, list[tuple[int, str]]]] = {
    "T1": [(16, "f5097b4f"), (17, "206a6b78")],
    "T2": [(32, "1811ed04"), (33, "6c3f4b51")],
    "T3": [(44, "c67357c4"), (47, "93cfaa19")],
    "T4": [(58, "c5e3d6d7"), (59, "c5e3d6d7")],
    "T5": [(77, "3f338fe2"), (79, "3f338fe2")],
    "T6": [(90, "e9ff8d66"), (92, "721ff6a1")],
    "T7": [(101, "e95fa6a4"), (106, "acb181c7")],
}
"""By batch: the lines that make its outcomes, and how the correlation id of the run that made each begins."""


class Played:
    """A stream that was played: the aggregates, and what was recorded with which line."""

    def __init__(self, lines: Iterable[StreamLine]) -> None:
        self.aggregates: dict[str, ParkableStream] = {}
        self.events: list[tuple[int, DomainEvent]] = []
        for line in lines:
            if line.message.topic in INPUT_TOPICS:
                read = translate(line.message, received_at=RECEIVED_AT)
                assert not isinstance(read, Rejection)
                self.events += [(line.number, event) for event in decide(read, self.aggregates)]

    def of(self, label: str) -> list[tuple[int, DomainEvent]]:
        """Return what was recorded of a batch."""
        stream_id = f"batch-{BATCHES[label]}"
        return [(line, event) for line, event in self.events if event.originator_id == stream_id]

    def ready(self, label: str) -> list[tuple[int, BatchResultsReady]]:
        """Return the results-ready of a batch and the lines that made them."""
        return [(line, event) for line, event in self.of(label) if isinstance(event, BatchResultsReady)]

    def ranked(self, label: str) -> list[BatchAssessmentCompleted]:
        """Return the rankings announced of a batch."""
        return [event for _, event in self.of(label) if isinstance(event, BatchAssessmentCompleted)]


def between_topics(lines: Sequence[StreamLine], seed: int) -> list[StreamLine]:
    """Return the stream in another order; what has one topic and key keeps its order."""
    random = Random(seed)
    partitions: dict[tuple[str, bytes | None], list[StreamLine]] = {}
    for line in lines:
        partitions.setdefault((line.message.topic, line.message.key), []).append(line)
    turns = [place for place, of_one in partitions.items() for _ in of_one]
    random.shuffle(turns)
    reading = {place: iter(of_one) for place, of_one in partitions.items()}
    return [next(reading[place]) for place in turns]


@pytest.fixture(scope="module")
def played() -> Played:
    return Played(scenario(NAME))


@pytest.mark.parametrize("label", LABELS)
def test_each_outcome_is_announced_once_by_the_message_that_makes_it(played: Played, label: str) -> None:
    expected = expectations(NAME)["batches"][BATCHES[label]]
    ready = played.ready(label)

    assert len(ready) == expected["results_ready"]["count"]
    assert [event.revision for _, event in ready] == list(range(1, len(ready) + 1))
    assert [line for line, _ in ready] == [line for line, _ in ANNOUNCED[label]]
    assert [event.job_id for event in played.ranked(label)][-1] == expected["assessment_completed"][
        "last_job_id"
    ]
    assert len(played.ranked(label)) == expected["assessment_completed"]["count"]
    ends_as_expected(played, label)


@pytest.mark.parametrize("label", LABELS)
def test_an_announcement_carries_the_correlation_id_of_the_run_that_made_the_outcome(
    played: Played, label: str
) -> None:
    runs = [correlation_id_of(event)[:8] for _, event in played.ready(label)]

    assert [run[:6] for run in runs] == [run[:6] for _, run in ANNOUNCED[label]]
    for _, event in played.ready(label):
        assert teacher_notification(event).correlation_id == correlation_id_of(event)


@pytest.mark.parametrize("seed", SHUFFLES)
def test_in_any_order_between_topics_the_last_announcement_states_the_same_outcome(seed: int) -> None:
    shuffled = Played(between_topics(list(scenario(NAME)), seed))

    for label in LABELS:
        expected = expectations(NAME)["batches"][BATCHES[label]]
        assert shuffled.ranked(label)[-1].job_id == expected["assessment_completed"]["last_job_id"]
        ends_as_expected(shuffled, label)
        said = [
            (event.overall_status, tuple(r.phase for r in event.phase_results), event.job_id)
            for _, event in shuffled.ready(label)
        ]
        assert [key for key, _ in groupby(said)] == said, "two in a row are the same"
        assert (
            check_announcements(f"batch-{BATCHES[label]}", [event for _, event in shuffled.of(label)]) == []
        )


@pytest.mark.parametrize("seed", SHUFFLES)
def test_the_whole_stream_again_is_nothing_but_repeats(seed: int) -> None:
    lines = between_topics(list(scenario(NAME)), seed)
    once, twice = Played(lines), Played([*lines, *lines])

    assert len(twice.events) == len(once.events)


@pytest.mark.parametrize("label", LABELS)
def test_phases_report_how_long_they_took_by_the_facts_own_times(played: Played, label: str) -> None:
    for _, event in played.ready(label):
        for result in event.phase_results:
            is_shown = result.processing_time_seconds is not None
            assert is_shown or result.phase == "nlp"
            assert result.completed_count + result.failed_count > 0


def test_the_time_of_each_phase_is_that_of_its_own_facts(played: Played) -> None:
    _, event = played.ready("T1")[-1]

    assert {r.phase: r.processing_time_seconds for r in event.phase_results} == {
        "spellcheck": pytest.approx(3.577424),  # from the start of the first check to the end of the last
        "nlp": pytest.approx(2.6, abs=1),  # from there to the outcome of the phase, of the same run
        "cj_assessment": 287.33198,  # as the job reports it
    }


def ends_as_expected(played: Played, label: str) -> None:
    """Check the last announcement of a batch, and how it stands."""
    expected: dict[str, Any] = expectations(NAME)["batches"][BATCHES[label]]
    last = expected["results_ready"]["last"]
    _, event = played.ready(label)[-1]
    assert event.overall_status == last["overall_status"]
    assert [result.phase for result in event.phase_results] == last["phases"]
    assert event.job_id == expected["assessment_completed"]["last_job_id"]
    batch = batches_among(played.aggregates)[BATCHES[label]]
    total, completed, failed = batch.counts
    assert total == expected["total_essays"]
    rest = expected["rest"]
    assert completed == rest.get("completed_essay_count", completed)
    assert failed == rest.get("failed_essay_count", failed)
    assert batch.overall_status is not None
    assert CLIENT_STATUS[batch.overall_status] == rest["overall_status"]
