"""Followers on PostgreSQL: each event once, whatever is killed, and never deaf for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import text

from infrastructure.eventstore.store import EventStore
from infrastructure.followers.follower import TransientSinkError
from infrastructure.followers.projector import ProjectionSink
from infrastructure.local.processes import free_port
from infrastructure.role_status import Condition
from projections.projection import Projection, Statement
from projections.recorded import Recorded
from tests.application.event_store_contract import append, recorded_by
from tests.support.following import HELD, LEDGER, Ledger, at_work, crew, until
from tests.support.given import registered, slot_assigned, spellchecked
from tests.support.postgres_probe import PostgresProbe


@pytest.fixture
def ledger(database: PostgresProbe) -> Iterator[Ledger]:
    """An empty ledger."""
    yield Ledger(database)
    database.execute("DROP SCHEMA ras_ledger CASCADE")


def write(store: EventStore, batches: int, *, name: str = "b") -> None:
    """Record so many batches, each in a transaction of its own: two wanted events and one other each."""
    for number in range(batches):
        messages = registered("e1"), slot_assigned("e1"), spellchecked("e1")
        append(store, recorded_by(*messages, batch_id=f"{name}-{number}"))


def wanted(database: PostgresProbe) -> list[int]:
    """Return the notification ids that a follower of the ledger must have seen."""
    return [
        number
        for (number,) in database.rows(
            "SELECT notification_id FROM ras.stored_events WHERE topic = ANY(%s) ORDER BY 1",
            list(LEDGER.topics),
        )
    ]


async def caught_up(ledger: Ledger, database: PostgresProbe) -> None:
    """Wait until the ledger's position is at the end of the log."""
    head = database.log()[-1][0]
    await until(
        lambda: ledger.position == head, what=f"the position is {head}", state=lambda: ledger.position
    )


def check_each_once(ledger: Ledger, database: PostgresProbe) -> None:
    """Check that each wanted event was entered once, and that the position only went forward."""
    assert ledger.entries == wanted(database)
    assert all(came_from < went_to for came_from, went_to in ledger.moves)
    assert all(earlier[1] == later[0] for earlier, later in pairwise([(0, 0), *ledger.moves]))


async def test_a_follower_takes_what_is_there_and_what_comes(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    write(store, 30)

    async with crew(store_url, max_events=7) as members:
        follower = members.follower()
        conditions = [follower.status.condition]
        async with at_work(members, follower):
            await caught_up(ledger, database)
            conditions.append(follower.status.condition)
            await asyncio.to_thread(write, store, 5, name="later")
            await caught_up(ledger, database)
        conditions.append(follower.status.condition)
        assert conditions == [Condition.STARTING, Condition.OK, Condition.STOPPED]

    check_each_once(ledger, database)
    assert len(ledger.entries) == 70


async def test_a_follower_goes_on_where_the_last_one_stopped(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    async def follow() -> None:
        async with crew(store_url) as members, at_work(members, members.follower()):
            await caught_up(ledger, database)

    for name in ("first", "second"):
        write(store, 3, name=name)
        await follow()

    check_each_once(ledger, database)


async def test_what_is_of_other_topics_moves_the_position_too(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    append(store, recorded_by(spellchecked("e1"), spellchecked("e2")))

    async with crew(store_url) as members, at_work(members, members.follower()):
        await caught_up(ledger, database)

    assert ledger.entries == []
    assert ledger.moves == [(0, 2)]


async def test_a_follower_waits_at_an_event_that_cannot_be_read_and_goes_on_once_it_can(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    write(store, 10)
    [[number, stream_id, state]] = database.rows(
        "UPDATE ras.stored_events e SET state = 'xx' FROM ras.stored_events o WHERE e.notification_id = 17"
        " AND o.notification_id = e.notification_id RETURNING e.notification_id, e.originator_id, o.state"
    )

    async with crew(store_url) as members:
        follower = members.follower()
        status = follower.status
        async with at_work(members, follower):
            await until(lambda: status.last_error_at is not None, what="the follower waits")
            since = status.last_error_at
            await until(lambda: status.last_error_at != since, what="it has looked again")
            assert (ledger.position, status.condition) == (number - 1, Condition.DEGRADED)
            assert status.reason.startswith(
                f"Event 2 of stream {stream_id} (topic 'ras.batch.essay-slot-assigned.v1') cannot be read:"
            )
            await until(lambda: status.lag > 0, what="it says how far behind it is")
            database.execute(
                "UPDATE ras.stored_events SET state = %s WHERE notification_id = %s", state, number
            )
            await caught_up(ledger, database)
            await until(lambda: status.condition is Condition.OK, what="all is well again")

    check_each_once(ledger, database)


async def test_two_followers_of_one_projection_enter_each_event_once(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    async with crew(store_url, max_events=3) as members:
        async with at_work(members, *(members.follower() for _ in range(3))):
            await asyncio.to_thread(write, store, 60)
            await caught_up(ledger, database)
        assert members.faults == 0

    check_each_once(ledger, database)


async def test_a_session_that_is_ended_in_mid_transaction_loses_nothing_and_doubles_nothing(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    ledger.hold_entries()
    write(store, 4)

    async with crew(store_url) as members, at_work(members, members.follower()):
        with database.holding(HELD):
            await until(lambda: bool(database.waiting("advisory")), what="entries are made, not committed")
            [session] = database.waiting("advisory")
            await asyncio.to_thread(database.terminate, session)
        await caught_up(ledger, database)
        assert members.faults == 1

    check_each_once(ledger, database)


async def test_sessions_that_are_ended_again_and_again_lose_nothing_and_double_nothing(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    def end_sessions() -> None:
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND (query LIKE '%%ras.positions%%' OR query LIKE '%%ras_ledger%%' OR query LIKE 'LISTEN%%'"
            " OR query LIKE 'SELECT%%ras.stored_events%%')"
        )

    async with crew(store_url, max_events=4) as members:
        async with at_work(members, members.follower(), members.follower()):
            for number in range(12):
                await asyncio.to_thread(write, store, 5, name=str(number))
                await asyncio.to_thread(end_sessions)
            await caught_up(ledger, database)
        assert members.faults > 0

    check_each_once(ledger, database)


class ForgetfulSink(ProjectionSink):
    """The real sink, whose first answer is lost after the commit."""

    has_lost = False

    async def apply(self, prepared: Sequence[Any], *, to: int) -> None:
        await super().apply(prepared, to=to)
        if not self.has_lost:
            self.has_lost = True
            raise TransientSinkError("the answer is lost")


async def test_rows_do_not_wait_for_the_disk(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    class UnlessItWaits:
        def take(self, recorded: Recorded) -> None:
            pass

        def statements(self) -> Iterator[Statement]:
            enter = (
                "INSERT INTO ras_ledger.entries SELECT 1 WHERE current_setting('synchronous_commit') = 'off'"
            )
            yield Statement(text(enter), {})

    write(store, 1)

    async with crew(store_url) as members:
        projection = Projection("ledger", 1, LEDGER.events, LEDGER.metadata, UnlessItWaits)
        async with at_work(members, members.follower(projection)):
            await caught_up(ledger, database)

    assert set(ledger.entries) == {1}


async def test_a_lost_answer_is_not_a_lost_commit(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    write(store, 10)

    async with crew(store_url, max_events=5) as members:
        sink = ForgetfulSink(LEDGER, members.database_url, idle_interval_s=0)
        async with at_work(members, members.follower(sink=sink)):
            await caught_up(ledger, database)
        assert members.faults == 1

    check_each_once(ledger, database)


async def test_a_fault_of_our_own_ends_the_follower_and_moves_no_position(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    class Wrong:
        def take(self, recorded: Recorded) -> None:
            pass

        def statements(self) -> Iterator[Statement]:
            yield Statement(text("INSERT INTO ras_ledger.no_such_table VALUES (1)"), {})

    wrong_ledger = Projection("ledger", 1, LEDGER.events, LEDGER.metadata, Wrong)
    write(store, 1)

    async def follow() -> None:
        async with crew(store_url) as members:
            await members.follower(wrong_ledger).run()

    with pytest.raises(Exception, match="no_such_table"):
        await follow()
    assert ledger.position == 0


async def test_a_follower_whose_position_lies_beyond_the_end_of_the_log_says_so_and_waits(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    write(store, 1)
    database.execute("INSERT INTO ras.positions (name, position) VALUES ('projection/ledger', 1000)")

    async with crew(store_url) as members:
        follower = members.follower()
        async with at_work(members, follower):
            await until(lambda: follower.status.condition is Condition.DEGRADED, what="it is degraded")
            assert "position 1000 lies beyond the end of the event store" in follower.status.reason
            database.execute("UPDATE ras.positions SET position = 0 WHERE name = 'projection/ledger'")
            await caught_up(ledger, database)


async def test_a_follower_without_its_server_says_so_and_can_be_stopped(store_url: str) -> None:
    gone = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"

    async with crew(gone) as members:
        follower = members.follower()
        async with at_work(members, follower):
            await until(lambda: follower.status.condition is Condition.DEGRADED, what="it is degraded")
            assert "The database does not answer" in follower.status.reason
            await until(lambda: "circuit breaker open" in follower.status.reason, what="the breaker opens")


# Being woken.

LONG_S = 60.0
"""Longer than any test waits: what happens sooner was not found by polling, or not by listening."""


async def listening(database: PostgresProbe) -> int:
    """Wait until there is one session that listens; return its process id."""
    await until(lambda: len(database.listening()) == 1, what="somebody listens", state=database.listening)
    return database.listening()[0]


async def test_a_commit_wakes_a_follower_that_hardly_ever_looks(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    async with (
        crew(store_url, poll_interval_s=LONG_S) as members,
        at_work(members, members.follower()),
    ):
        await listening(database)
        for name in ("one", "two", "three"):
            await asyncio.to_thread(write, store, 1, name=name)
            await caught_up(ledger, database)

    check_each_once(ledger, database)


async def test_a_follower_whose_listener_is_gone_still_looks_by_itself(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    deaf = crew(store_url, listener_backoff_s=LONG_S)
    async with deaf as members, at_work(members, members.follower()):
        database.terminate(await listening(database))
        for name in ("one", "two", "three"):  # the first may still be woken by what was said before
            await asyncio.to_thread(write, store, 1, name=name)
            await caught_up(ledger, database)
        assert database.listening() == []

    check_each_once(ledger, database)


async def test_a_lost_listener_listens_again_and_what_came_meanwhile_is_seen(
    store: EventStore, database: PostgresProbe, ledger: Ledger, store_url: str
) -> None:
    async with (
        crew(store_url, poll_interval_s=LONG_S) as members,
        at_work(members, members.follower()),
    ):
        for name in ("one", "two"):
            database.terminate(await listening(database))
            await asyncio.to_thread(write, store, 1, name=name)
            await caught_up(ledger, database)

    check_each_once(ledger, database)


async def test_a_listener_that_is_asked_to_stop_ends_and_wakes_those_who_wait(
    database: PostgresProbe, store_url: str
) -> None:
    async with crew(store_url) as members:
        task = asyncio.create_task(members.listener.run())
        await listening(database)
        waiting = asyncio.create_task(members.listener.wait(LONG_S))
        await asyncio.sleep(0)  # it waits from here on
        members.listener.stop()
        async with asyncio.timeout(LONG_S / 2):
            await asyncio.gather(task, waiting)
