"""The moment of the switch: readers see no fault, projectors neither lose nor double, locks are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Event

import psycopg
import pytest
from sqlalchemy import Column, MetaData, Table, Text

from infrastructure.check.read_models import Model, hold_sides
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.store import EventStore
from infrastructure.followers.follower import SinkNotReadyError
from infrastructure.postgres.connections import maintenance_engine
from infrastructure.queries.read_pool import ReadConnections
from infrastructure.rebuild import rebuild, switching
from infrastructure.rebuild.outcomes import Rebuilt, Silent
from infrastructure.rebuild.session import RebuildError
from infrastructure.rebuild.states import State
from infrastructure.role_status import Condition
from projections.batch_results import batch_results
from projections.catalogue import PROJECTIONS
from projections.dead_letters import dead_letters
from projections.projection import Projection, schema_of
from projections.teacher_inbox import teacher_inbox
from tests.support.following import HELD, at_work, crew, until
from tests.support.http import api
from tests.support.postgres_probe import PostgresProbe
from tests.support.rebuilding import Models, empty_models
from tests.support.waiting import wait_until

_HOLD = """
    CREATE FUNCTION ras_batch_results.hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(7000002); RETURN NULL; END $$;
    CREATE TRIGGER hold AFTER INSERT ON ras_batch_results.batches
    FOR EACH STATEMENT EXECUTE FUNCTION ras_batch_results.hold()
"""


@pytest.fixture
def models(store: EventStore, database: PostgresProbe, store_url: str) -> Iterator[Models]:
    """Live read models with something in them."""
    with empty_models(store_url, store, database) as filled:
        filled.record(4)
        filled.follow()
        yield filled


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    """A thread in which a rebuild runs while the test looks on."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Stopping(Silent):
    """Stops when a phase begins, and goes on when told to."""

    def __init__(self, phase: str) -> None:
        self._phase = phase
        self.reached = Event()
        self.go_on = Event()

    def phase(self, what: str, position: int, goal: int) -> None:
        if what.startswith(self._phase) and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(30), "nobody let the rebuild go on"


def with_a_column_more(projection: Projection) -> Projection:
    """Return a projection of the next version, whose tables have a column more."""
    tables = MetaData(schema=schema_of(projection.name))
    for table in projection.metadata.sorted_tables:
        copy = table.to_metadata(tables)
        Table(copy.name, tables, Column("severity", Text, server_default="low"), extend_existing=True)
    return replace(projection, version=projection.version + 1, metadata=tables)


# Readers.


def test_an_api_that_is_asked_all_the_while_answers_all_the_while(
    models: Models, beside: ThreadPoolExecutor
) -> None:
    batch_ids = [row["batch_id"] for row in models.rows()["ras_batch_results.batches"] if row["user_id"]]
    with api(models.url) as client:
        paths = [f"/internal/v1/batches/{batch_id}/status" for batch_id in batch_ids]
        before = {path: client.get(path) for path in paths}

        def ask_until_the_end_of(run: Future[object]) -> int:
            rounds = 0
            while not run.done():
                for path, first in before.items():
                    now = client.get(path)
                    assert (now.status_code, now.content) == (200, first.content)
                rounds += 1
            run.result()
            return rounds

        for _ in range(3):
            assert ask_until_the_end_of(beside.submit(models.rebuilding().rebuild, PROJECTIONS)) > 0
            ask_until_the_end_of(beside.submit(models.rebuilding().roll_back, PROJECTIONS))

        # Same rows, same words; but another side might have had others, so the tag is another one.
        for path, first in before.items():
            assert client.get(path).headers["ETag"] != first.headers["ETag"]
            assert client.get(path, If_None_Match=first.headers["ETag"]).status_code == 200


def test_an_answer_that_was_kept_is_not_sent_once_another_side_is_live(models: Models) -> None:
    [batch_id] = models.database.rows(
        "SELECT batch_id FROM ras_batch_results.batches WHERE user_id IS NOT NULL LIMIT 1"
    )[0]
    models.database.execute("UPDATE ras_batch_results.essays SET file_name = 'wrong.docx'")
    path = f"/internal/v1/batches/{batch_id}/status"
    with api(models.url) as client:
        assert "wrong.docx" in client.get(path).text

        models.rebuilding().rebuild([batch_results], accept_differences=True)

        assert "wrong.docx" not in client.get(path).text


async def test_prepared_statements_outlive_tables_of_another_shape(models: Models) -> None:
    models.record_everything()
    await asyncio.to_thread(models.follow)
    position = models.database.value("SELECT max(position) FROM ras_dead_letters.letters")

    reads = ReadConnections(models.url, size=6)
    every_column = "SELECT * FROM ras_dead_letters.letters WHERE position = %(position)s"
    for _ in range(10):  # the driver prepares what is asked often
        await asyncio.gather(*(reads.rows(every_column, {"position": position}) for _ in range(6)))
    await asyncio.to_thread(models.rebuilding().rebuild, [with_a_column_more(dead_letters)])
    found = await asyncio.gather(*(reads.rows(every_column, {"position": position}) for _ in range(12)))
    assert [letter["severity"] for letters in found for letter in letters] == ["low"] * 12
    await reads.close()


def test_a_query_that_the_live_side_cannot_answer_says_what_to_run(models: Models) -> None:
    models.database.execute("ALTER TABLE ras_batch_results.essays DROP COLUMN file_name")
    models.database.execute("UPDATE ras.read_models SET version = 0 WHERE name = 'batch_results'")
    [batch_id] = models.database.rows(
        "SELECT batch_id FROM ras_batch_results.batches WHERE user_id IS NOT NULL LIMIT 1"
    )[0]
    with api(models.url) as client:
        answer = client.get(f"/internal/v1/batches/{batch_id}/status")
        assert answer.status_code == 503
        assert "run `ras rebuild batch_results`" in answer.json()["detail"]
        ready = client.send("GET", "/healthz/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert client.get("/internal/v1/teachers/teacher-0007/notifications").status_code == 200

        models.rebuilding().rebuild([batch_results])

        assert client.get(f"/internal/v1/batches/{batch_id}/status").status_code == 200
        assert client.send("GET", "/healthz/ready").json()["status"] == "ok"


# The projector.


async def test_a_projector_in_mid_transaction_is_waited_for_and_loses_nothing(
    models: Models, beside: ThreadPoolExecutor
) -> None:
    stopping = Stopping("comparing")
    running: Future[list[Rebuilt]] = beside.submit(models.rebuilding(stopping).rebuild, [batch_results])
    assert stopping.reached.wait(30)
    models.database.execute(_HOLD)
    models.record(2)

    async with (
        crew(models.url, max_events=20) as members,
        at_work(members, members.follower(batch_results)),
    ):
        with models.database.holding(HELD):
            await until(lambda: bool(models.database.waiting("advisory")), what="rows are written")
            stopping.go_on.set()
            await until(
                lambda: bool(models.database.waiting("transactionid")), what="the switch waits for it"
            )
            assert not running.done()
        await until(lambda: running.done(), what="the switch is made")
        await until(lambda: not models.lagging([batch_results]), what="the projector is at the end")

    assert [outcome.state for outcome in running.result()] == [State.SWAPPED]
    [again] = models.rebuilding().rebuild([batch_results])
    assert again.comparison is not None
    assert again.comparison.equal


async def test_projectors_at_work_during_many_switches_neither_lose_nor_double(
    models: Models, beside: ThreadPoolExecutor
) -> None:
    async with crew(models.url, max_events=5) as members:
        followers = [members.follower(projection) for projection in PROJECTIONS]
        async with at_work(members, *followers, members.follower(batch_results)):
            for _ in range(4):
                writing = asyncio.create_task(asyncio.to_thread(models.record, 3))
                await asyncio.to_thread(models.rebuilding().rebuild, PROJECTIONS)
                await asyncio.to_thread(models.rebuilding().roll_back, PROJECTIONS)
                await writing
            await until(lambda: not models.lagging(), what="all are at the end", state=models.lagging)

    assert all(o.comparison and o.comparison.equal for o in models.rebuilding().rebuild(PROJECTIONS))


async def test_a_projector_of_another_version_waits_until_the_side_fits_again(models: Models) -> None:
    async with crew(models.url) as members:
        follower = members.follower(batch_results)
        async with at_work(members, follower):
            await until(lambda: follower.status.condition is Condition.OK, what="it follows")
            raised = replace(batch_results, version=batch_results.version + 1)
            await asyncio.to_thread(models.rebuilding().rebuild, [raised])
            rows = models.rows()
            await asyncio.to_thread(models.record, 2)
            await until(lambda: follower.status.condition is Condition.DEGRADED, what="it says that it waits")
            said = f"is of version {raised.version}, this release needs {batch_results.version}"
            assert said in follower.status.reason
            assert models.rows() == rows
            await asyncio.to_thread(models.rebuilding().roll_back, [raised])
            await until(lambda: not models.lagging([batch_results]), what="it has gone on")


async def test_a_projector_that_waited_for_the_switch_asks_for_the_version_anew(models: Models) -> None:
    """The position is where it was, so only the version tells that the tables are others by now."""

    async with crew(models.url) as members:
        sink = members.sink(batch_results)
        at = await sink.position()
        with psycopg.connect(models.url) as switch:
            switch.execute("SELECT FROM ras.positions WHERE name = 'projection/batch_results' FOR UPDATE")
            switch.execute("UPDATE ras.read_models SET version = version + 1 WHERE name = 'batch_results'")
            applying = asyncio.create_task(sink.apply((), to=at + 1))
            await until(lambda: bool(models.database.waiting("transactionid")), what="it waits")
            switch.commit()
        with pytest.raises(SinkNotReadyError, match="run `ras rebuild batch_results`"):
            await applying

    assert models.database.positions()["projection/batch_results"] == models.head


async def test_a_statement_that_fails_on_tables_of_another_version_is_no_fault_of_the_projector(
    models: Models,
) -> None:
    """A transaction's statements are on their way before it is known which version they meet."""
    log = NotificationLog(models.url, event_codec(), batch_results.topics)
    events = (await log.read(0, 10)).events
    await log.close()
    async with crew(models.url) as members:
        sink = members.sink(batch_results)
        at = await sink.position()
        models.database.execute("ALTER TABLE ras_batch_results.batches DROP COLUMN position")
        models.database.execute(
            "UPDATE ras.read_models SET version = version + 1 WHERE name = 'batch_results'"
        )

        with pytest.raises(SinkNotReadyError, match="run `ras rebuild batch_results`"):
            await sink.apply(await sink.prepare(events), to=at + 1)

    assert models.database.positions()["projection/batch_results"] == at


# Locks that others hold.


def test_tables_that_are_never_free_leave_everything_as_it_was_and_the_build_to_go_on_with(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "WAITS_MS", (10, 20))
    before = models.rows()
    with psycopg.connect(models.url) as reader:
        reader.execute("SELECT count(*) FROM ras_batch_results.phases")
        with pytest.raises(RebuildError, match="held by somebody's long transaction"):
            models.rebuilding().rebuild([batch_results])
        assert models.rows() == before
    assert models.states("batch_results") == ["proven"]

    [outcome] = models.rebuilding().rebuild([batch_results])

    assert (outcome.state, outcome.resumed) == (State.SWAPPED, True)
    assert models.rows() == before


def test_who_compares_rows_with_a_position_keeps_the_sides_where_they_are(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "WAITS_MS", (10, 20))
    with maintenance_engine(models.url).connect() as connection:
        hold_sides(connection, [Model(p, t) for p in PROJECTIONS for t in p.metadata.sorted_tables])
        with pytest.raises(RebuildError, match="held by somebody's long transaction"):
            models.rebuilding().rebuild([teacher_inbox])
        connection.rollback()

    assert models.rebuilding().rebuild([teacher_inbox])[0].state is State.SWAPPED


def test_a_position_that_is_never_free_is_named(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "PIN_WAIT_S", 0.05)
    with psycopg.connect(models.url) as holder:
        holder.execute("SELECT FROM ras.positions WHERE name = 'projection/batch_results' FOR UPDATE")
        with pytest.raises(RebuildError, match="held the position of batch_results"):
            models.rebuilding().rebuild([batch_results])


def test_a_server_that_ends_all_sessions_leaves_the_live_side_as_it_was(
    models: Models, beside: ThreadPoolExecutor
) -> None:
    before = models.rows()
    stopping = Stopping("comparing")
    running = beside.submit(models.rebuilding(stopping).rebuild, PROJECTIONS)
    assert stopping.reached.wait(30)
    for pid in _others(models.database):
        with suppress(AssertionError):
            models.database.terminate(pid)
    stopping.go_on.set()
    with pytest.raises(Exception, match=r"terminat|closed|lost"):
        running.result()
    wait_until(lambda: not _locks(models.database), what="the lock of the rebuild is free")

    outcomes = models.rebuilding().rebuild(PROJECTIONS)

    assert all(outcome.resumed for outcome in outcomes)
    assert models.rows() == before


def _others(database: PostgresProbe) -> Sequence[int]:
    return [
        pid
        for (pid,) in database.rows(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND query NOT LIKE '%%originator_id = ANY%%'"
        )
    ]


def _locks(database: PostgresProbe) -> Sequence[int]:
    return [pid for (pid,) in database.rows("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")]
