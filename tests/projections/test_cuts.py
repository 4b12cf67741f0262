"""However the log is cut into batches, the read models hold the same rows: rebuilt or followed live."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from domain.assessment_events import Side
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.inbox import InboxNotification, inbox_stream_id
from domain.language_analysis import LanguageAnalysisRecorded
from domain.notifications import teacher_notification
from domain.values import BatchStatus
from infrastructure.demo.stream import stream
from infrastructure.eventstore.event_registry import EVENT_CLASSES, event_codec
from projections.catalogue import PROJECTIONS
from projections.recorded import Recorded
from tests.application.event_store_contract import recorded_by
from tests.golden.expected_events import EXPECTED
from tests.support.examples import examples
from tests.support.fake_store import FakeEventStore
from tests.support.given import (
    assessed,
    caused_by,
    minute,
    phase_outcome,
    pipeline_completed,
    ranked,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)
from tests.support.ingesting import Ingestion, intakes_of
from tests.support.judging import Job
from tests.support.projecting import connected
from tests.support.read_models import Rows, emptied, everything, numbered, project, recorded_in


def eventful() -> list[Recorded]:
    """Return a short log in which everything is superseded that can be."""
    events = recorded_by(
        spellcheck_failed("e1", at=5),
        registered("e1", "e2", at=1),
        slot_assigned("e1", at=1),
        registered("e2", "only-here", "e3", at=2, user_id="teacher-0008"),
        slot_assigned("e1", "essay-02.docx", at=3),
        spellchecked("e1", at=6),
        phase_outcome("spellcheck", processed=1),
        spellchecked("e2", at=9),
        spellcheck_failed("e3", at=8),
        phase_outcome("spellcheck", BatchStatus.COMPLETED_WITH_FAILURES, failed=["e3"], at=4),
        assessed("e2", "e3", "e1", job="old", at=20),
        registered("e2", "e1", at=4, user_id="teacher-0007"),
        assessed(ranked("e1", 1), ranked("ANCHOR_1", 2), job="new", at=30),
        pipeline_completed("spellcheck", at=31),
        pipeline_completed("spellcheck", "cj_assessment", at=32),
        assessed(job="nobody", at=40),
        assessed("e1", "e2", job="last", at=50),
    )
    log = list(events)
    for event in events:
        if isinstance(event, BatchResultsReady | BatchAssessmentCompleted):
            notification_id = UUID(str(teacher_notification(event).event_id))
            read = InboxNotification(inbox_stream_id(notification_id))
            read.mark_read(
                notification_id=notification_id,
                teacher_id=event.user_id,
                happened_at=minute(60),
                causation=caused_by(99),
            )
            log += read.collect_events()
    job = Job()
    log += [
        job.decides("e1", "e2", request="r1"),
        job.fails("e1", "e3", request="r2"),
        job.decides("e2", "e3", request="r3", winner=Side.B),
        job.ends("e1", "ANCHOR_1", at=50),
        job.decides("e2", "e1", request="r1"),
        job.decides("e1", "e3", request="r2"),
        job.fails("e2", "e3", request="r3"),
        job.ends("e2", "e1", "ANCHOR_1", at=60),
    ]
    analysed = EXPECTED[LanguageAnalysisRecorded.topic]
    assert isinstance(analysed, LanguageAnalysisRecorded)
    log += [
        analysed,
        replace(analysed, originator_version=2, happened_at=minute(600), errors=()),
        replace(analysed, originator_version=3, happened_at=minute(500), text_storage_id="another"),
    ]
    log += [
        EXPECTED["ras.dead-letter.message-dead-lettered.v1"],
        EXPECTED["ras.batch.message-parked.v1"],
        EXPECTED["ras.dead-letter.retried.v1"],
        EXPECTED["ras.batch.message-drained.v1"],
        EXPECTED["ras.dead-letter.discarded.v1"],
        replace(EXPECTED["ras.dead-letter.replaced.v1"], originator_version=4),
    ]
    return numbered(log)


LOG = eventful()


@pytest.fixture(scope="module")
def expected(read_models_url: str) -> dict[str, Rows]:
    """The rows after one event at a time."""
    with connected(read_models_url) as connection:
        emptied(connection)
        project(connection, LOG, cuts=range(len(LOG)))
        found = everything(connection)
        connection.rollback()
    return found


def test_the_log_has_everything_that_projections_follow(expected: dict[str, Rows]) -> None:
    followed = {event for projection in PROJECTIONS for event in projection.events}

    assert {type(recorded.event) for recorded in LOG} == followed
    assert all(expected.values())


@settings(max_examples=examples(40))
@given(cuts=st.sets(st.integers(1, len(LOG) - 1)))
def test_any_cut_gives_the_same_rows(read_models_url: str, expected: dict[str, Rows], cuts: set[int]) -> None:
    with connected(read_models_url) as connection:
        emptied(connection)
        project(connection, LOG, cuts=cuts)
        found = everything(connection)
        connection.rollback()

    assert found == expected


def test_a_stream_projected_at_once_is_what_it_was_event_by_event(connection: Connection) -> None:
    store = FakeEventStore()
    scenario = stream(41, 10, class_sizes=(1, 2, 8), failure_share=0.8, disorder=0.7, repeats=0.2)
    Ingestion(store).insist(intakes_of(scenario))
    log = recorded_in(store)
    project(connection, log)
    at_once = everything(connection)
    emptied(connection)
    project(connection, log, cuts=range(len(log)))

    assert everything(connection) == at_once


def test_a_batch_of_events_that_comes_again_changes_nothing(connection: Connection) -> None:
    """No follower does that; but a statement that were not idempotent would hide a fault of the fencing."""
    project(connection, LOG)
    once = everything(connection)
    project(connection, LOG)

    assert everything(connection) == once


def test_projections_have_names_of_their_own_and_follow_registered_topics() -> None:
    names = [projection.name for projection in PROJECTIONS]
    assert len(set(names)) == len(names)
    for projection in PROJECTIONS:
        assert set(projection.topics) <= event_codec().topics
        assert set(projection.events) <= set(EVENT_CLASSES)
        assert projection.version >= 1


def test_statements_are_a_function_of_the_events() -> None:
    for projection in PROJECTIONS:
        wanted = [each for each in LOG if isinstance(each.event, projection.events)]
        first, second = projection.statements(wanted), projection.statements(wanted)
        assert [s.parameters for s in first] == [s.parameters for s in second]
        assert [str(s.executable) for s in first] == [str(s.executable) for s in second]
