"""The read model of batches holds what a fold of the recorded events says."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.values import BatchStatus
from infrastructure.demo.stream import stream
from projections.batch_results import batch_results, batches, essays, phases, rankings
from tests.application.event_store_contract import recorded_by
from tests.support.fake_store import FakeEventStore
from tests.support.given import (
    assessed,
    minute,
    phase_outcome,
    pipeline_completed,
    play,
    ranked,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)
from tests.support.ingesting import Ingestion, intake_of, intakes_of
from tests.support.read_models import Rows, numbered, project, recorded_in, rows
from tests.support.upstream import SCENARIO_NAMES, scenario

INPUT = frozenset(SCENARIO_NAMES) - {"comparisons-120"}
"""The scenarios of the topics that make batches."""


def story(connection: Connection, *messages: Any) -> None:
    """Project what batch b1 records of `messages`."""
    project(connection, numbered(recorded_by(*messages)), projections=[batch_results])


def the_batch(connection: Connection) -> dict[str, Any]:
    """Return the one row of batches."""
    [row] = rows(connection, batches)
    return row


def by_essay(connection: Connection, column: str) -> dict[str, Any]:
    """Return one column of the essays."""
    return {row["essay_id"]: row[column] for row in rows(connection, essays)}


# Rows are the fold of the events.


def check_rows(connection: Connection, store: FakeEventStore) -> None:
    """Check every row against the aggregates, and that there are no others."""
    streams: dict[str, list[DomainEvent]] = {}
    for event in store.events:
        if event.originator_id.startswith("batch-"):
            streams.setdefault(event.originator_id, []).append(event)
    seen = [recorded for recorded in recorded_in(store) if isinstance(recorded.event, batch_results.events)]
    last = {event.originator_id: number for number, event in seen}
    of_batch = {table.name: grouped(rows(connection, table)) for table in (essays, phases, rankings)}
    in_batches = {batch_stream_id(row["batch_id"]): row for row in rows(connection, batches)}

    assert in_batches.keys() == streams.keys()
    assert all(keys <= streams.keys() for keys in (set(found) for found in of_batch.values()))
    for stream_id, events in streams.items():
        batch = BatchAggregate.replay(stream_id, events)
        check_batch(in_batches[stream_id], batch, last[stream_id], events)
        check_essays(of_batch["essays"].get(stream_id, []), batch)
        check_phases(of_batch["phases"].get(stream_id, []), batch)
        check_rankings(of_batch["rankings"].get(stream_id, []), batch)


def grouped(found: Rows) -> dict[str, Rows]:
    """Return rows by the stream of their batch."""
    by_stream: dict[str, Rows] = {}
    for row in found:
        by_stream.setdefault(batch_stream_id(row["batch_id"]), []).append(row)
    return by_stream


def check_batch(row: dict[str, Any], batch: BatchAggregate, last: int, events: list[DomainEvent]) -> None:
    """Check the row of a batch."""
    state = batch._state
    registration, assessment, pipeline = state.registration, state.assessment, state.runs.pipeline
    assert row["position"] == last
    assert row["last_updated"] == max(event.happened_at for event in events)
    assert row["user_id"] == (registration.user_id if registration else None)
    assert row["registered_at"] == (registration.at if registration else None)
    assert row["class_id"] == (registration.class_id if registration else None)
    assert row["assessment_job_id"] == (assessment.job_id if assessment else None)
    assert row["assessed_at"] == (assessment.at if assessment else None)
    assert row["assessment_failed"] == (not assessment.rankings if assessment else None)
    assert row["named_phases"] == (dict.fromkeys(state.runs.named, True) if pipeline else None)
    assert (
        row["overall_status"] == (state.announced.status if state.announced else None) == batch.overall_status
    )
    assert row["revision"] == (state.revision or None)


def check_essays(found: Rows, batch: BatchAggregate) -> None:
    """Check the rows of a batch's essays."""
    state = batch._state
    told = {None: None, True: "completed", False: "failed"}
    known = {essay_id: (told[e.spellchecked], e.spellcheck_at) for essay_id, e in state.essays.items()}
    expected = {row["essay_id"] for row in found if row["ordinal"] is not None}

    assert {r["essay_id"]: (r["spellcheck_status"], r["spellchecked_at"]) for r in found} == known
    assert expected == (state.registration.essay_ids if state.registration else set())
    assert {r["essay_id"] for r in found if r["file_name"] is not None} == {
        essay_id for essay_id, essay in state.essays.items() if essay.slot_assigned_at is not None
    }
    for row in found:
        assert (row["spellcheck_error"] is not None) == (row["spellcheck_status"] == "failed")
        assert (row["spellcheck_metrics"] is not None) == (row["spellcheck_status"] == "completed")


def check_phases(found: Rows, batch: BatchAggregate) -> None:
    """Check the rows of a batch's phase outcomes."""
    assert {
        row["phase"]: (row["status"], row["processed_count"], tuple(row["failed_essay_ids"])) for row in found
    } == {
        phase: (c.status, c.processed_count, c.failed_essay_ids)
        for phase, c in batch._state.runs.conclusions.items()
    }


def check_rankings(found: Rows, batch: BatchAggregate) -> None:
    """Check the rows of a batch's newest ranking."""
    assessment = batch._state.assessment
    assert {row["essay_id"]: (row["job_id"], row["rank"], row["bt_score"]) for row in found} == {
        line.essay_id: (assessment.job_id, line.rank, line.score)
        for line in (assessment.rankings if assessment else ())
        if assessment
    }


@pytest.mark.parametrize("seed", [31, 32])
def test_rows_of_a_generated_stream_are_the_fold_of_its_events(connection: Connection, seed: int) -> None:
    store = FakeEventStore()
    Ingestion(store).insist(
        intakes_of(stream(seed, 25, class_sizes=(1, 8, 24), failure_share=0.7, disorder=0.5, repeats=0.2))
    )

    project(connection, recorded_in(store), cuts=range(0, len(store.log), 97))

    check_rows(connection, store)


@pytest.mark.parametrize("name", sorted(INPUT))
def test_rows_of_a_scenario_are_the_fold_of_its_events(connection: Connection, name: str) -> None:
    store = FakeEventStore()
    Ingestion(store).insist([intake_of(line.message) for line in scenario(name)])

    project(connection, recorded_in(store))

    check_rows(connection, store)


# One thing after another.


def test_what_comes_before_the_registration_is_kept_until_it_makes_sense(connection: Connection) -> None:
    story(connection, spellchecked("e1"), slot_assigned("e2"))

    assert the_batch(connection)["user_id"] is None
    assert by_essay(connection, "ordinal") == {"e1": None, "e2": None}


def test_essays_are_in_the_teachers_order(connection: Connection) -> None:
    story(connection, registered("e9", "e1", "e5"))

    assert by_essay(connection, "ordinal") == {"e1": 1, "e5": 2, "e9": 0}


def test_an_essay_that_a_newer_registration_leaves_out_is_no_longer_expected(connection: Connection) -> None:
    story(
        connection,
        registered("e1", "e2", at=1),
        spellchecked("e1"),
        registered("e2", "e3", at=2, user_id="teacher-0008"),
    )

    assert by_essay(connection, "ordinal") == {"e1": None, "e2": 0, "e3": 1}
    assert by_essay(connection, "spellcheck_status")["e1"] == "completed"
    assert the_batch(connection)["user_id"] == "teacher-0008"


def test_an_essay_that_comes_back_is_expected_again(connection: Connection) -> None:
    story(connection, *(registered(*names, at=at) for at, names in enumerate((["e1"], ["e2"], ["e2", "e1"]))))

    assert by_essay(connection, "ordinal") == {"e1": 1, "e2": 0}


def test_a_newer_ranking_takes_the_place_of_the_older_one(connection: Connection) -> None:
    story(
        connection,
        registered("e1", "e2", "e3"),
        assessed("e1", "e2", "e3", job="old", at=20),
        assessed(ranked("e3", 1), ranked("ANCHOR_1", 2), ranked("e1", 3), job="new", at=30),
    )

    found = rows(connection, rankings)
    assert [(row["essay_id"], row["job_id"], row["rank"]) for row in found] == [
        ("e1", "new", 3),
        ("e3", "new", 1),
    ]
    assert {row["assessed_at"] for row in found} == {minute(30)}
    assert the_batch(connection)["assessment_job_id"] == "new"


def test_an_assessment_that_ranks_nobody_takes_the_older_ranking_away(connection: Connection) -> None:
    story(connection, registered("e1"), assessed("e1", at=20), assessed(job="failed", at=30))

    assert rows(connection, rankings) == []
    assert (the_batch(connection)["assessment_failed"], the_batch(connection)["assessment_job_id"]) == (
        True,
        "failed",
    )


def test_a_success_after_a_failure_takes_the_error_away(connection: Connection) -> None:
    story(
        connection,
        spellcheck_failed("e1", at=10, error_info={"error_message": "text not readable", "status": 502}),
        spellchecked("e1", at=11, corrections=7),
    )

    [row] = rows(connection, essays)
    assert (row["spellcheck_status"], row["spellcheck_corrections"]) == ("completed", 7)
    assert row["spellcheck_error"] is None
    assert row["spellcheck_corrected_text_id"] == "text-2"
    assert row["spellcheck_metrics"]["total_corrections"] == 7


def test_a_failure_is_told_as_upstreams_clients_know_failures(connection: Connection) -> None:
    details = {"error_message": "text not readable", "request": 10**30, "share": 0.1}
    story(connection, spellchecked("e1", at=10), spellcheck_failed("e1", at=11, error_info=details))

    [row] = rows(connection, essays)
    assert (row["spellcheck_status"], row["spellcheck_metrics"]) == ("failed", None)
    assert row["spellcheck_corrected_text_id"] is None
    error = row["spellcheck_error"]
    assert (error["error_code"], error["message"]) == ("SPELLCHECK_SERVICE_ERROR", "text not readable")
    assert error["details"] == details


def test_phase_outcomes_and_the_pipeline_are_kept(connection: Connection) -> None:
    story(
        connection,
        phase_outcome("spellcheck", BatchStatus.COMPLETED_WITH_FAILURES, failed=["e2", "e1"], processed=4),
        pipeline_completed("spellcheck"),
        pipeline_completed("nlp", at=50),
    )

    [row] = rows(connection, phases)
    assert (row["phase"], row["status"], row["processed_count"]) == (
        "spellcheck",
        "completed_with_failures",
        4,
    )
    assert row["failed_essay_ids"] == ["e1", "e2"]
    batch = the_batch(connection)
    assert batch["named_phases"] == {"spellcheck": True, "nlp": True}


def test_a_new_outcome_replaces_the_old_one(connection: Connection) -> None:
    story(
        connection,
        registered("e1", "e2"),
        pipeline_completed("spellcheck"),
        spellchecked("e1", at=10),
        spellcheck_failed("e2", at=10),
        spellchecked("e2", at=12),
    )

    row = the_batch(connection)
    assert (row["overall_status"], row["revision"], row["ended_at"]) == (
        "completed_successfully",
        2,
        minute(12),
    )


def test_processing_began_with_the_first_result_in_upstreams_time(connection: Connection) -> None:
    events = recorded_by(registered("e1", "e2", at=0), spellchecked("e1", at=20), spellchecked("e2", at=10))
    project(connection, numbered(events), cuts=[2], projections=[batch_results])

    assert the_batch(connection)["processing_started_at"] == minute(10)
    assert the_batch(connection)["last_updated"] == minute(20)


def test_batches_with_equal_essay_ids_are_apart(connection: Connection) -> None:
    one, two = BatchAggregate("batch-1"), BatchAggregate("batch-2")
    play([registered("e1"), spellchecked("e1")], one)
    play([registered("e1"), spellcheck_failed("e1")], two)
    project(connection, numbered([*one.collect_events(), *two.collect_events()]), projections=[batch_results])

    found = {(row["batch_id"], row["essay_id"]): row["spellcheck_status"] for row in rows(connection, essays)}
    assert found == {("1", "e1"): "completed", ("2", "e1"): "failed"}
