"""Rebuilding on PostgreSQL: equal rows, refusals that name rows, versions, interruptions, the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import LiteralString

import pytest
from sqlalchemy import Column, MetaData, Table, Text

from infrastructure.eventstore.store import EventStore
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild import filling
from infrastructure.rebuild.outcomes import Silent
from infrastructure.rebuild.session import RebuildError, only_session, writer_session
from infrastructure.rebuild.states import State
from projections.batch_results import batch_results
from projections.catalogue import PROJECTIONS
from projections.dead_letters import dead_letters
from projections.projection import schema_of
from projections.teacher_inbox import teacher_inbox
from tests.support.postgres_probe import PostgresProbe
from tests.support.rebuilding import Models, empty_models
from tests.support.waiting import wait_until

LIVE = {schema_of(projection.name) for projection in PROJECTIONS}


@pytest.fixture
def models(store: EventStore, database: PostgresProbe, store_url: str) -> Iterator[Models]:
    """Read models of an empty store, rebuilt in pages of seven events."""
    with empty_models(store_url, store, database) as empty:
        yield empty


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the log into so many pages that every border is met."""
    monkeypatch.setattr(filling, "PAGE_EVENTS", 7)


class InterruptionError(Exception):
    """Whatever ends a run."""


class InterruptedAfter(Silent):
    """Ends a run after so many pages, or when a phase begins."""

    def __init__(self, *, pages: int = 10**9, phase: str = "never") -> None:
        self._pages = pages
        self._phase = phase

    def phase(self, what: str, position: int, goal: int) -> None:
        if what.startswith(self._phase):
            raise InterruptionError

    def page(self, events: int, reached: int) -> None:
        self._pages -= 1
        if self._pages == 0:
            raise InterruptionError


# What becomes of rows.


def test_rebuilt_rows_are_those_that_the_projector_made(models: Models) -> None:
    models.record_everything()
    models.record()
    models.follow()
    before = models.rows()
    assert all(rows for table, rows in before.items() if not table.startswith("ras_assessments"))

    outcomes = models.rebuilding().rebuild(PROJECTIONS)

    assert models.rows() == before
    assert [(o.name, o.state, o.proven_at, o.position) for o in outcomes] == [
        (projection.name, State.SWAPPED, models.head, models.head) for projection in PROJECTIONS
    ]
    assert sum(o.comparison.rows for o in outcomes if o.comparison) == sum(map(len, before.values()))
    assert models.schemas() == LIVE | {f"{schema}__old" for schema in LIVE}


def test_live_tables_that_are_behind_are_proven_where_they_are_and_the_new_side_goes_on_to_the_end(
    models: Models,
) -> None:
    models.record()
    models.follow()
    compared_at = models.head
    models.record()

    [outcome] = models.rebuilding().rebuild([batch_results])

    assert (outcome.proven_at, outcome.position) == (compared_at, models.head)
    assert models.database.positions()["projection/batch_results"] == models.head
    rows = models.rows()
    models.follow()
    assert models.rows()["ras_batch_results.essays"] == rows["ras_batch_results.essays"]


def test_a_projector_that_has_never_run_leaves_nothing_to_prove_and_everything_to_fill(
    models: Models,
) -> None:
    models.record()

    models.rebuilding().rebuild(PROJECTIONS)

    assert models.lagging() == {}
    rebuilt = models.rows()
    models.record(1)
    models.follow()
    assert len(models.rows()["ras_batch_results.batches"]) == len(rebuilt["ras_batch_results.batches"]) + 1


def test_the_projector_goes_on_with_the_new_side(models: Models) -> None:
    models.record()
    models.follow()
    models.rebuilding().rebuild(PROJECTIONS)
    models.record()
    models.follow()
    followed = models.rows()

    models.rebuilding().rebuild(PROJECTIONS)

    assert models.rows() == followed


# Rows that differ.


CHANGED = """
    UPDATE ras_batch_results.essays SET file_name = 'other.docx' WHERE (batch_id, essay_id) =
        (SELECT batch_id, essay_id FROM ras_batch_results.essays ORDER BY 1, 2 LIMIT 1)
"""
DELETED = """
    DELETE FROM ras_batch_results.essays WHERE (batch_id, essay_id) =
        (SELECT batch_id, essay_id FROM ras_batch_results.essays ORDER BY 1, 2 LIMIT 1)
"""


@pytest.mark.parametrize(
    ("change", "named"),
    [(CHANGED, "differs in file_name"), (DELETED, "the live side lacks this row")],
    ids=["changed", "deleted"],
)
def test_a_row_that_differs_is_named_by_its_key_and_the_switch_is_refused(
    models: Models, change: LiteralString, named: str
) -> None:
    models.record()
    models.follow()
    [batch_id, essay_id] = models.database.rows(
        "SELECT batch_id, essay_id FROM ras_batch_results.essays ORDER BY 1, 2 LIMIT 1"
    )[0]
    models.database.execute(change)
    tampered = models.rows()

    refused, switched = models.rebuilding().rebuild([batch_results, dead_letters])

    assert refused.state is State.ABANDONED
    assert refused.comparison is not None
    assert refused.comparison.differing == 1
    [difference] = refused.comparison.differences
    assert str(difference) == f"essays batch_id={batch_id}, essay_id={essay_id}: {named}"
    assert switched.state is State.SWAPPED
    assert models.rows() == tampered
    assert models.schemas() == LIVE | {"ras_dead_letters__old"}
    assert models.states("batch_results") == ["abandoned"]


def test_a_row_too_many_is_named_and_many_are_counted(models: Models) -> None:
    models.record()
    models.follow()
    models.database.execute(
        "INSERT INTO ras_batch_results.phases"
        " SELECT 'batch-' || n, 'nlp', 'completed_successfully', 0, '[]', now() FROM generate_series(10, 40) n"
    )

    [refused] = models.rebuilding().rebuild([batch_results])

    assert refused.comparison is not None
    assert refused.comparison.differing == 31
    assert len(refused.comparison.differences) == 20
    assert str(refused.comparison.differences[0]) == (
        "phases batch_id=batch-10, phase=nlp: only the live side has this row"
    )


def test_a_live_table_that_is_gone_is_named_too(models: Models) -> None:
    models.record()
    models.follow()
    models.database.execute("DROP TABLE ras_batch_results.rankings")

    [refused] = models.rebuilding().rebuild([batch_results])

    assert refused.comparison is not None
    assert [str(each) for each in refused.comparison.differences] == [
        "rankings: the live side has no such table, or other columns"
    ]


def test_differences_can_be_accepted_because_the_events_are_right(models: Models) -> None:
    models.record()
    models.follow()
    right = models.rows()
    models.database.execute("UPDATE ras_batch_results.batches SET user_id = 'teacher-9999'")

    [outcome] = models.rebuilding().rebuild([batch_results], accept_differences=True)

    assert outcome.state is State.SWAPPED
    assert outcome.proven_at is None
    assert models.rows() == right


# Versions.


def test_a_version_that_was_raised_is_switched_to_without_a_comparison(models: Models) -> None:
    models.record()
    models.follow()
    tables = MetaData(schema=schema_of("dead_letters"))
    for table in dead_letters.metadata.sorted_tables:
        table.to_metadata(tables)
    Table("letters", tables, Column("severity", Text, server_default="low"), extend_existing=True)
    raised = replace(dead_letters, version=dead_letters.version + 1, metadata=tables)
    models.record_everything()

    [outcome] = models.rebuilding().rebuild([raised])

    assert (outcome.state, outcome.replaced_version, outcome.proven_at) == (
        State.SWAPPED,
        dead_letters.version,
        None,
    )
    assert models.database.value("SELECT count(*) FROM ras_dead_letters.letters WHERE severity = 'low'") > 0
    assert models.standing("dead_letters")["version"] == raised.version
    assert models.standing("dead_letters")["generation"] == 2


def test_a_new_read_model_is_filled_before_anybody_sees_it(models: Models) -> None:
    models.record_everything()
    models.follow()
    before = models.rows()
    models.database.execute("DROP SCHEMA ras_teacher_inbox CASCADE")
    models.database.execute("DELETE FROM ras.read_models WHERE name = 'teacher_inbox'")
    models.database.execute("DELETE FROM ras.positions WHERE name = 'projection/teacher_inbox'")

    [outcome] = models.rebuilding().rebuild([teacher_inbox])

    assert (outcome.state, outcome.replaced_version, outcome.position) == (State.SWAPPED, None, models.head)
    assert models.rows() == before
    assert "ras_teacher_inbox__old" not in models.schemas()
    models.follow([teacher_inbox])


def test_tables_that_a_backup_left_out_are_made_from_the_events(models: Models) -> None:
    models.record()
    models.follow()
    before = models.rows()
    models.database.execute("DROP SCHEMA ras_batch_results CASCADE")
    assert initialise(models.url) == {
        "batch_results": "The read model batch_results does not exist yet: run `ras rebuild batch_results`."
    }

    [outcome] = models.rebuilding().rebuild([batch_results])

    assert (outcome.state, outcome.replaced_version) == (State.SWAPPED, None)
    assert models.rows() == before
    assert initialise(models.url) == {}


# Interruptions.


@pytest.mark.parametrize(
    "interruption",
    [
        InterruptedAfter(pages=1),
        InterruptedAfter(pages=4),
        InterruptedAfter(pages=11),
        InterruptedAfter(phase="catching up batch_results"),
        InterruptedAfter(phase="comparing"),
    ],
    ids=["after a page", "after four", "after eleven", "filled", "being compared"],
)
def test_an_interrupted_run_leaves_the_live_side_as_it_was_and_the_next_one_goes_on(
    models: Models, interruption: InterruptedAfter
) -> None:
    models.record(8)
    models.follow()
    before = models.rows()
    with pytest.raises(InterruptionError):
        models.rebuilding(interruption).rebuild([batch_results, teacher_inbox])
    assert models.rows() == before
    reached = models.database.value("SELECT position FROM ras.rebuilds WHERE name = 'batch_results'")
    assert reached > 0

    next_run = models.rebuilding()
    outcomes = next_run.rebuild([batch_results, teacher_inbox])

    assert all(outcome.resumed and outcome.state is State.SWAPPED for outcome in outcomes)
    assert next_run.speed.events < models.head
    assert models.rows() == before
    assert models.states("batch_results") == ["swapped"]


def test_a_run_for_one_of_two_that_were_interrupted_resumes_that_one(models: Models) -> None:
    models.record()
    models.follow()
    with pytest.raises(InterruptionError):
        models.rebuilding(InterruptedAfter(pages=3)).rebuild([batch_results, teacher_inbox])
    models.rebuilding().rebuild([teacher_inbox])

    [outcome] = models.rebuilding().rebuild([batch_results])

    assert outcome.resumed
    assert models.schemas() == LIVE | {"ras_batch_results__old", "ras_teacher_inbox__old"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda models: models.database.execute("DROP SCHEMA ras_batch_results__new CASCADE"),
        lambda models: models.database.execute("ALTER TABLE ras_batch_results__new.essays ADD COLUMN x int"),
        lambda models: models.database.execute("UPDATE ras.rebuilds SET version = 0"),
        lambda models: models.database.execute(
            "UPDATE ras.positions SET position = 1 WHERE name = 'projection/batch_results'"
        ),
    ],
    ids=["tables gone", "tables changed", "another version", "ahead of the live side"],
)
def test_what_was_half_built_and_does_not_fit_is_thrown_away(
    models: Models, spoil: Callable[[Models], None]
) -> None:
    models.record()
    models.follow()
    with pytest.raises(InterruptionError):
        models.rebuilding(InterruptedAfter(pages=5)).rebuild([batch_results])
    spoil(models)

    [outcome] = models.rebuilding().rebuild([batch_results], accept_differences=True)

    assert not outcome.resumed
    assert models.states("batch_results") == ["abandoned", "swapped"]
    assert models.schemas() == LIVE | {"ras_batch_results__old"}


def test_a_position_beyond_the_end_of_the_log_is_set_right_by_a_rebuild(models: Models) -> None:
    models.record()
    models.follow()
    rows = models.rows()
    models.database.execute(
        "UPDATE ras.positions SET position = position + 1000 WHERE starts_with(name, 'projection/')"
    )

    outcomes = models.rebuilding().rebuild(PROJECTIONS)

    assert {outcome.state for outcome in outcomes} == {State.SWAPPED}
    assert models.rows() == rows
    assert set(models.database.positions("projection/").values()) == {models.head}


# One at a time.


def test_a_second_rebuild_is_refused_in_a_sentence_and_changes_nothing(models: Models) -> None:
    models.record()
    with only_session(models.url):
        for run in (models.rebuilding().rebuild, models.rebuilding().roll_back):
            with pytest.raises(
                RebuildError, match=r"^Another `ras rebuild` is running .* Nothing was changed\.$"
            ):
                run([batch_results])

    assert models.states("batch_results") == []
    assert models.schemas() == LIVE


def test_a_rebuild_waits_until_no_writer_of_a_killed_one_is_left(models: Models) -> None:
    models.record()
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor(1) as pool:
        with writer_session(models.url):
            rebuilt = pool.submit(models.rebuilding().rebuild, [batch_results])
            wait_until(lambda: models.database.value(waiting) == 1, what="it waits for the writer")
            assert models.states("batch_results") == []
        [outcome] = rebuilt.result()

    assert outcome.state is State.SWAPPED


def test_a_rebuild_is_refused_while_a_writer_of_another_goes_on(models: Models) -> None:
    with (
        writer_session(models.url),
        pytest.raises(RebuildError, match=r"^Another `ras rebuild` is running .* Nothing was changed\.$"),
    ):
        models.rebuilding().rebuild([batch_results])

    assert models.states("batch_results") == []


# The way back.


def test_going_back_catches_up_first_and_loses_nothing(models: Models) -> None:
    models.record()
    models.follow()
    models.rebuilding().rebuild(PROJECTIONS)
    models.record()
    models.follow()
    before = models.rows()

    turned = models.rebuilding().roll_back([batch_results, teacher_inbox])

    assert [(each.position, each.is_followed) for each in turned] == [(models.head, True)] * 2
    assert models.rows() == before
    assert models.states("batch_results") == ["rolled_back"]
    models.record()
    models.follow()
    again = models.rows()
    models.rebuilding().roll_back([batch_results, teacher_inbox])
    assert models.rows() == again
    assert models.states("batch_results") == ["swapped"]
    assert models.standing("batch_results")["generation"] == 4


def test_going_back_to_another_version_leaves_it_where_it_was_and_its_projector_goes_on_from_there(
    models: Models,
) -> None:
    models.record()
    models.follow()
    old = models.rows()
    left_at = models.head
    raised = replace(batch_results, version=batch_results.version + 1)
    models.rebuilding().rebuild([raised])
    models.record()
    models.follow([raised])

    [turned] = models.rebuilding().roll_back([raised])

    assert (turned.version, turned.position, turned.is_followed) == (batch_results.version, left_at, False)
    assert models.rows() == old
    models.follow([batch_results])
    caught_up = models.rows()
    models.rebuilding().rebuild([batch_results])
    assert models.rows() == caught_up


def test_without_an_earlier_side_there_is_no_way_back(models: Models) -> None:
    models.rebuilding().rebuild([batch_results])
    generation = models.standing("batch_results")["generation"]

    with pytest.raises(RebuildError, match="no earlier side of teacher_inbox to go back to"):
        models.rebuilding().roll_back([batch_results, teacher_inbox])

    assert models.standing("batch_results")["generation"] == generation


# What pages are.


def test_a_page_is_bounded_in_bytes_too(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "PAGE_EVENTS", 10_000)
    monkeypatch.setattr(filling, "PAGE_BYTES", 5_000)
    monkeypatch.setattr(filling, "CHUNK_EVENTS", 3)
    models.record()
    pages = []

    class Counting(Silent):
        def page(self, events: int, reached: int) -> None:
            pages.append(events)

    models.rebuilding(Counting()).rebuild(PROJECTIONS)

    assert max(pages) < 100
    followed = [event.topic for projection in PROJECTIONS for event in projection.events]
    assert sum(pages) == models.database.value(
        "SELECT count(*) FROM ras.stored_events WHERE topic = ANY(%s)", followed
    )


def test_every_table_has_a_key_by_which_its_rows_can_be_named() -> None:
    tables = [table for projection in PROJECTIONS for table in projection.metadata.sorted_tables]
    assert all(table.primary_key.columns for table in tables)
