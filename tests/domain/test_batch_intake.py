"""What the batch ingests: any message first, each statement once, the newer over the older."""

from __future__ import annotations

import pytest

from domain.batch import batch_id_of, batch_stream_id
from domain.batch_events import (
    AssessmentCompleted,
    BatchAssessmentCompleted,
    BatchRegistered,
    EssaySlotAssigned,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.values import BatchStatus
from tests.support.given import (
    STREAM,
    Message,
    assessed,
    caused_by,
    fact,
    given,
    minute,
    phase_outcome,
    pipeline_completed,
    play,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)

ONE_OF_EACH = [
    pytest.param(registered("e1", "e2"), BatchRegistered, id="registration"),
    pytest.param(slot_assigned("e1"), EssaySlotAssigned, id="slot"),
    pytest.param(spellchecked("e1"), EssaySpellchecked, id="spellcheck"),
    pytest.param(spellcheck_failed("e1"), EssaySpellcheckFailed, id="failed-spellcheck"),
    pytest.param(phase_outcome("spellcheck"), PhaseConcluded, id="phase-outcome"),
    pytest.param(assessed("e1"), AssessmentCompleted, id="assessment"),
    pytest.param(pipeline_completed("spellcheck"), PipelineCompleted, id="pipeline"),
]


def test_stream_is_named_after_the_batch() -> None:
    assert batch_stream_id("4711") == "batch-4711"
    assert batch_id_of("batch-4711") == "4711"
    assert batch_id_of(batch_stream_id("batch-4711")) == "batch-4711"


@pytest.mark.parametrize(("message", "event_class"), ONE_OF_EACH)
def test_any_message_may_open_the_stream(message: Message, event_class: type[BatchRegistered]) -> None:
    given().when(message).then(
        fact(event_class, originator_id=STREAM, originator_version=1, happened_at=message.at)
    )


@pytest.mark.parametrize(("message", "_event_class"), ONE_OF_EACH)
def test_repeat_under_a_new_event_id_records_nothing(message: Message, _event_class: object) -> None:
    given(message).when(message).then()


@pytest.mark.parametrize(("message", "_event_class"), ONE_OF_EACH)
def test_repeat_in_a_finished_batch_records_nothing(message: Message, _event_class: object) -> None:
    finished = given(
        registered("e1", "e2"),
        slot_assigned("e1"),
        spellchecked("e1"),
        spellcheck_failed("e2"),
        phase_outcome("spellcheck"),
        assessed("e1"),
        pipeline_completed("spellcheck"),
    )

    finished.when(message).then()


@pytest.mark.parametrize(
    ("known", "older"),
    [
        pytest.param(registered("e1", at=5), registered("e1", "e2", at=4), id="registration"),
        pytest.param(slot_assigned("e1", "new.docx", at=5), slot_assigned("e1", "old.docx", at=4), id="slot"),
        pytest.param(spellchecked("e1", at=5), spellcheck_failed("e1", at=4), id="failure-after-success"),
        pytest.param(spellcheck_failed("e1", at=5), spellchecked("e1", at=4), id="success-after-failure"),
        pytest.param(assessed("e1", job="new", at=5), assessed("e2", job="old", at=4), id="assessment"),
        pytest.param(
            pipeline_completed("spellcheck", at=5),
            pipeline_completed(status=BatchStatus.FAILED_CRITICALLY, at=4),
            id="pipeline",
        ),
    ],
)
def test_older_statement_never_overwrites_a_newer_one(known: Message, older: Message) -> None:
    given(known).when(older).then()


@pytest.mark.parametrize(
    ("known", "contender"),
    [
        pytest.param(registered("e1"), registered("e1", "e2"), id="registration"),
        pytest.param(slot_assigned("e1", "one.docx"), slot_assigned("e1", "two.docx"), id="slot"),
        pytest.param(spellchecked("e1"), spellcheck_failed("e1"), id="spellcheck"),
        pytest.param(assessed("e1", job="one"), assessed("e2", job="two"), id="assessment"),
        pytest.param(pipeline_completed("spellcheck"), pipeline_completed("nlp"), id="pipeline"),
    ],
)
def test_later_arrival_loses_a_tie(known: Message, contender: Message) -> None:
    given(known).when(contender).then()


@pytest.mark.parametrize(
    ("known", "newer", "event_class"),
    [
        pytest.param(registered("e1", at=4), registered("e2", at=5), BatchRegistered, id="registration"),
        pytest.param(slot_assigned("e1", at=4), slot_assigned("e1", at=5), EssaySlotAssigned, id="slot"),
        pytest.param(spellcheck_failed("e1"), spellchecked("e1", at=11), EssaySpellchecked, id="spellcheck"),
        pytest.param(assessed("e1"), assessed("e1", at=21), AssessmentCompleted, id="assessment"),
        pytest.param(pipeline_completed(), pipeline_completed(at=31), PipelineCompleted, id="pipeline"),
    ],
)
def test_newer_statement_supersedes_the_older(
    known: Message, newer: Message, event_class: type[BatchRegistered]
) -> None:
    given(known).when(newer).then(fact(event_class, happened_at=newer.at))


def test_result_of_one_essay_says_nothing_of_another() -> None:
    given(spellchecked("e1", at=50)).when(spellcheck_failed("e2", at=10)).then(
        fact(EssaySpellcheckFailed, essay_id="e2")
    )


def test_slot_and_spellcheck_of_an_essay_are_timed_apart() -> None:
    given(spellchecked("e1", at=50)).when(slot_assigned("e1", at=1)).then(
        fact(EssaySlotAssigned, essay_id="e1", original_file_name="essay-01.docx")
    )


def test_an_essay_named_twice_in_a_registration_is_expected_once() -> None:
    story = given().when(registered("e2", "e1", "e2"))

    story.then(fact(BatchRegistered, essay_ids=("e2", "e1")))
    assert story.batch.counts == (2, 0, 0)


def test_each_fact_carries_the_message_that_told_it() -> None:
    batch = play([registered("e1")])
    assessed("e1").tell(batch, caused_by(77))

    assert [event.causation.offset for event in batch.collect_events()] == [1, 77, 77]


def test_versions_count_from_one_without_gaps() -> None:
    batch = play([registered("e1"), spellchecked("e1"), assessed("e1")])

    versions = [event.originator_version for event in batch.collect_events()]
    assert versions == list(range(1, len(versions) + 1))
    assert batch.version == len(versions)


def test_collected_events_are_handed_over_once() -> None:
    batch = play([registered("e1")])

    assert [type(event) for event in batch.pending_events] == [BatchRegistered]
    assert len(batch.collect_events()) == 1
    assert batch.pending_events == ()
    assert batch.collect_events() == []


def test_size_counts_every_essay_in_memory_expected_or_not() -> None:
    story = given(registered("e1", "e2"), spellchecked("e1"), spellchecked("stranger"), slot_assigned("e3"))

    assert story.batch.size == 4
    assert story.batch.counts == (2, 0, 0)


def test_a_batch_is_registered_once_its_teacher_is_known() -> None:
    assert not given(spellchecked("e1")).batch.is_registered
    assert given(registered("e1")).batch.is_registered


def test_newer_failure_keeps_upstreams_account_of_it() -> None:
    given(spellchecked("e1")).when(spellcheck_failed("e1", at=11, error_info={"code": "X"})).then(
        fact(EssaySpellcheckFailed, error_info={"code": "X"})
    )


def test_an_assessment_of_an_unregistered_batch_announces_nothing() -> None:
    given().when(assessed("e1", "e2")).then(fact(AssessmentCompleted, job_id="job-1"))


def test_registration_announces_the_ranking_that_waited_for_it() -> None:
    given(assessed("e1", "e2")).when(registered("e1", "e2")).then(
        fact(BatchRegistered), fact(BatchAssessmentCompleted, job_id="job-1", happened_at=minute(20))
    )
