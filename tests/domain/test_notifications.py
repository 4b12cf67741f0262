"""What a teacher is told of a published event, and the ids by which a repeat is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import RFC_4122, UUID, uuid5

import pytest

from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.notifications import (
    NOTIFICATION_TOPIC,
    correlation_id_of,
    published_event_id,
    teacher_notification,
)
from domain.values import BatchStatus, Causation, PhaseResult, Ranking
from tests.support.given import minute

READY = BatchResultsReady(
    originator_id="batch-b1",
    originator_version=9,
    happened_at=minute(20),
    causation=Causation(
        topic="upstream",
        partition=0,
        offset=4,
        received_at=minute(21),
        correlation_id="c0ffee00-1111-4222-8333-444455556666",
    ),
    user_id="teacher-0007",
    class_id="class-003",
    revision=1,
    overall_status=BatchStatus.COMPLETED_WITH_FAILURES,
    total_essays=3,
    completed_essays=2,
    failed_essays=1,
    phase_results=(
        PhaseResult(phase="spellcheck", completed_count=2, failed_count=1, processing_time_seconds=4.25),
        PhaseResult(phase="cj_assessment", completed_count=2, failed_count=0),
    ),
    job_id="1207",
    processing_duration_seconds=93.25,
    correlation_id=None,
)
RANKED = BatchAssessmentCompleted(
    originator_id="batch-b1",
    originator_version=8,
    happened_at=minute(20),
    causation=READY.causation,
    user_id="teacher-0007",
    class_id=None,
    job_id="1207",
    rankings=tuple(
        Ranking(
            essay_id=essay,
            rank=rank,
            score=0.5,
            letter_grade="B",
            confidence_score=0.9,
            confidence_label="HIGH",
        )
        for rank, essay in enumerate(("e1", "e2"), start=1)
    ),
    correlation_id=None,
)


def test_results_are_urgent_news() -> None:
    notification = teacher_notification(READY)

    assert notification.teacher_id == "teacher-0007"
    assert notification.notification_type == "batch_results_ready"
    assert (notification.priority, notification.category) == ("high", "processing_results")
    assert notification.action_required is False
    assert (notification.batch_id, notification.class_id) == ("b1", "class-003")
    assert notification.correlation_id == "c0ffee00-1111-4222-8333-444455556666"
    assert notification.payload == {
        "batch_id": "b1",
        "total_essays": 3,
        "completed_essays": 2,
        "overall_status": "completed_with_failures",
        "processing_duration_seconds": 93.25,
        "phase_results": {
            "spellcheck": {
                "status": "completed_with_failures",
                "completed_count": 2,
                "failed_count": 1,
                "processing_time_seconds": 4.25,
            },
            "cj_assessment": {
                "status": "completed",
                "completed_count": 2,
                "failed_count": 0,
                "processing_time_seconds": None,
            },
        },
        "failed_essays": 1,
        "client_status": "completed_with_failures",
        "completed_at": "2026-03-07T08:20:00Z",
        "message": "The batch completed with 2 of 3 essays; 1 failed.",
    }


def test_an_announcement_of_an_early_release_says_what_it_said_then() -> None:
    payload = teacher_notification(replace(READY, failed_essays=None)).payload

    assert payload["message"] == "The results are ready: 2 of 3 essays are done, the others failed."
    assert payload.keys().isdisjoint({"failed_essays", "client_status", "completed_at"})


def test_news_carries_the_correlation_id_of_the_run_that_made_the_outcome() -> None:
    for event in (READY, RANKED):
        assert teacher_notification(replace(event, correlation_id="run-2")).correlation_id == "run-2"


def test_a_ranking_is_ordinary_news() -> None:
    notification = teacher_notification(RANKED)

    assert notification.notification_type == "batch_assessment_completed"
    assert (notification.priority, notification.category) == ("standard", "processing_results")
    assert notification.action_required is False
    assert (notification.batch_id, notification.class_id) == ("b1", None)
    assert notification.payload == {
        "batch_id": "b1",
        "assessment_job_id": "1207",
        "rankings_available": True,
        "rankings_count": 2,
        "message": "The comparative judgement is done: 2 essays are ranked.",
    }


def test_one_ranked_essay_is_not_several() -> None:
    payload = teacher_notification(replace(RANKED, rankings=RANKED.rankings[:1])).payload

    assert payload["message"] == "The comparative judgement is done: 1 essay is ranked."


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (BatchStatus.COMPLETED_SUCCESSFULLY, "The batch completed with 2 of 3 essays."),
        (BatchStatus.COMPLETED_WITH_FAILURES, "The batch completed with 2 of 3 essays; 1 failed."),
        (BatchStatus.FAILED_CRITICALLY, "The batch failed; it completed with 2 of 3 essays."),
        (BatchStatus.CANCELLED, "The batch was cancelled; it completed with 2 of 3 essays."),
    ],
)
def test_every_outcome_has_its_sentence(status: BatchStatus, message: str) -> None:
    assert teacher_notification(replace(READY, overall_status=status)).payload["message"] == message


# Ids: what consumers remember, so no release may ever change them.


RESULTS_ID = "4b3cb0d8-4c59-5d79-a64b-3f70558a28da"
NOTIFICATION_ID = "9e650869-0ed9-5b54-ade6-e4b8ca53bcb1"
NAMESPACE = UUID("6f1de3f4-3f0e-5b0c-9d0f-6c4f5b9c7a11")


def test_the_ids_are_these_for_good() -> None:
    assert str(published_event_id(READY, "huleedu.ras.batch.results.ready.v1")) == RESULTS_ID
    assert str(published_event_id(READY, NOTIFICATION_TOPIC)) == NOTIFICATION_ID
    assert str(teacher_notification(READY).event_id) == NOTIFICATION_ID


def test_an_id_is_a_version_5_uuid_of_stream_version_and_topic() -> None:
    for version in range(1, 200):
        found = UUID(str(published_event_id(replace(READY, originator_version=version), "topic-å")))
        assert (found.version, found.variant) == (5, RFC_4122)
        assert found == uuid5(NAMESPACE, f"batch-b1/{version}/topic-å")


@pytest.mark.parametrize(
    "other",
    [{"originator_id": "batch-b2"}, {"originator_version": 10}],
    ids=["another stream", "another version"],
)
def test_another_event_has_another_id(other: dict[str, Any]) -> None:
    changed = replace(READY, **other)

    assert published_event_id(changed, NOTIFICATION_TOPIC) != published_event_id(READY, NOTIFICATION_TOPIC)


def test_the_id_does_not_depend_on_what_the_event_says_or_when_it_is_sent() -> None:
    retold = replace(READY, causation=RANKED.causation, happened_at=minute(99), user_id="teacher-0008")

    assert teacher_notification(retold).event_id == teacher_notification(READY).event_id


def test_without_a_correlation_id_all_events_of_a_stream_share_one_of_its_own() -> None:
    nameless = replace(READY.causation, correlation_id=None)
    ready, ranked = replace(READY, causation=nameless), replace(RANKED, causation=nameless)

    assert correlation_id_of(ready) == correlation_id_of(ranked) == teacher_notification(ready).correlation_id
    assert UUID(correlation_id_of(ready)).version == 5
    elsewhere = replace(ready, originator_id="batch-b2")
    assert correlation_id_of(elsewhere) != correlation_id_of(ready)
