"""Other processes decide on messages: what they decided is recorded, or done again, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import psutil
import pytest

from application.aggregates import AggregateCache
from application.deciding import IngestResult
from application.ingest import NOWHERE_FURTHER, IngestMicroBatch
from application.ports import StalePositionError
from domain.assessment_events import JudgeDecisionRecorded
from domain.dead_letters import MessageDeadLettered, Reason
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from infrastructure.eventstore.store import EventStore
from infrastructure.intake.deciding_processes import DecidingProcesses, Rules, Ticket
from infrastructure.intake.incoming import Raw
from infrastructure.intake.writing import BACKLOG_MESSAGES, MicroBatchWriter, Portion
from infrastructure.postgres.schema import initialise
from infrastructure.roles.bootstrap import deciding_store
from tests.support.accounts import check_as_undisturbed, recorded_events
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import Ingestion, in_partitions, intakes_of, messages_of, small_batch
from tests.support.live import judging_messages
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.role_process import deciding_children
from tests.support.waiting import wait_until

_TOLERANCE = timedelta(days=365)
_SIZE = 60
"""Messages in a micro-batch."""

pytestmark = pytest.mark.anyio


def raws_of(messages: Sequence[UpstreamMessage]) -> list[Raw]:
    """Return the records in which `messages` lie."""
    return [
        (m.topic, m.partition, m.offset, m.timestamp_ms, m.key, m.value, m.headers, None)
        for m in in_partitions(messages)
    ]


class AskingMeanwhile(IngestMicroBatch):
    """Does something while it takes in, as an ingester that begins the next micro-batch."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def take_in(self, *arguments: Any) -> IngestResult:
        self.meanwhile()
        return super().take_in(*arguments)


class Writing:
    """An ingester's writer with other processes, on a real store."""

    def __init__(self, store: EventStore, database_url: str, number: int = 1, kept: int = 10_000) -> None:
        self.use_case = AskingMeanwhile(store, AggregateCache(kept))
        rules = Rules(_TOLERANCE, notes_progress=True, cache_max_essays=kept)
        self.deciding = DecidingProcesses(
            number, partial(deciding_store, database_url, "WARNING", "json"), rules
        )
        self.writer = MicroBatchWriter(self.use_case, self.deciding, future_tolerance=_TOLERANCE)
        self.positions: dict[tuple[str, int], int] = {}
        self._at_work = asyncio.Lock()

    @property
    def processes(self) -> list[psutil.Process]:
        """The other processes that run."""
        return deciding_children(os.getpid())

    def prepare(self, records: Sequence[Raw]) -> None:
        """Read the positions, and wait until the other processes are ready."""
        partitions = dict.fromkeys((record[0], record[1]) for record in records)
        self.positions.update(self.use_case.positions(list(partitions)))
        self.writer.note_fetched(BACKLOG_MESSAGES)
        wait_until(lambda: self.deciding.are_ready, what="the other processes are ready", deadline_s=90)

    async def begin(self, records: list[Raw]) -> Portion:
        return await self.writer.begin(records, self.positions, self._at_work)

    def write(self, portion: Portion) -> None:
        self.writer.write(portion, self.positions, NOWHERE_FURTHER)

    async def ingest(self, records: Sequence[Raw]) -> list[bool]:
        """Ingest `records`, beginning one micro-batch ahead; return which were decided on elsewhere."""
        elsewhere: list[bool] = []
        begun = await self.begin(list(records[:_SIZE]))
        for at in range(_SIZE, len(records) + _SIZE, _SIZE):
            following = await self.begin(list(records[at : at + _SIZE])) if at < len(records) else None
            elsewhere.append(begun.ticket is not None and self.deciding.is_next(begun.ticket))
            self.write(begun)
            if following is None:
                break
            begun = following
        return elsewhere


@pytest.fixture
def database(database_url: str) -> Iterator[PostgresProbe]:
    """A look into a database with the tables of RAS."""
    initialise(database_url)
    with probe(database_url) as looking:
        yield looking


@pytest.fixture
def store(database: PostgresProbe, database_url: str) -> Iterator[EventStore]:
    """The event store of that database."""
    with opened_store(database_url) as opened:
        yield opened


@pytest.fixture
def writing(store: EventStore, database_url: str, request: pytest.FixtureRequest) -> Iterator[Writing]:
    """A writer, whose other processes (one, unless the test says otherwise) end with the test."""
    made = Writing(store, database_url, **getattr(request, "param", {}))
    yield made
    made.writer.stop()
    assert made.processes == []


@pytest.mark.parametrize("writing", [{}, {"number": 3}, {"kept": 0}], indirect=True)
async def test_what_other_processes_decide_is_recorded(writing: Writing, database: PostgresProbe) -> None:
    messages = list(stream(7, 12, class_sizes=(1, 8), disorder=0.3, repeats=0.2))
    records = raws_of(messages)
    writing.prepare(records)
    for process in writing.processes:
        process.terminate()  # as a terminal does, which sends its signals to all

    elsewhere = await writing.ingest(records)

    assert all(elsewhere)
    assert len(elsewhere) > 3
    assert database.value("SELECT sum(taken_in) FROM ras.intake_counts") == len(messages)
    check_as_undisturbed(database, messages)


async def test_what_was_decided_after_something_that_is_not_recorded_is_void(
    writing: Writing, database: PostgresProbe
) -> None:
    messages = list(stream(8, 6, class_sizes=(8,)))
    records = raws_of(messages)
    writing.prepare(records)
    await writing.begin(records[:_SIZE])  # and dropped, as at a seek
    late = await writing.begin(records[_SIZE : 2 * _SIZE])
    writing.writer.void()

    await writing.ingest(records[:_SIZE])
    writing.write(late)
    elsewhere = await writing.ingest(records[2 * _SIZE :])

    assert late.ticket is not None
    assert any(elsewhere), "the other process works again"
    check_as_undisturbed(database, messages)


async def test_what_was_decided_while_the_ingester_did_the_work_itself_is_void(writing: Writing) -> None:
    records = raws_of(messages_of(small_batch(essays=40)))
    writing.prepare(records)
    tickets: list[Ticket | None] = []
    writing.use_case.meanwhile = lambda: tickets.append(writing.deciding.ask(records[_SIZE:]))

    writing.write(Portion(records[:_SIZE]))

    [ticket] = tickets
    assert ticket is not None
    assert not writing.deciding.is_next(ticket), "it was decided without what the ingester has recorded"


async def test_another_ingester_that_writes_to_the_same_streams_is_noticed(
    writing: Writing, store: EventStore, database: PostgresProbe
) -> None:
    messages = messages_of(small_batch(essays=6))
    records = raws_of(messages)
    topics = sorted({record[0] for record in records})
    mine, theirs = ([r for r in records if (r[0] in topics[:3]) is half] for half in (True, False))
    writing.prepare(records)
    begun = await writing.begin(mine)
    assert begun.ticket is not None
    writing.deciding.answer_of(begun.ticket)  # decided, before the other one writes
    other = Ingestion(store)
    other.insist([i for i in intakes_of(messages) if i.message.topic not in topics[:3]])

    written = writing.writer.write(begun, writing.positions, NOWHERE_FURTHER)

    assert theirs
    assert written.taken.conflicts == 1
    assert writing.use_case.is_contended
    check_as_undisturbed(database, messages)


@pytest.mark.parametrize("writing", [{"number": 3}], indirect=True)
async def test_processes_that_decide_on_one_stream_lose_nothing(
    writing: Writing, database: PostgresProbe
) -> None:
    """Messages of one job are divided by the batch that each names, and these name several."""
    messages = [
        replace(message, value=message.value.replace(b'"of-no-batch"', b'"batch-%d"' % number))
        if number % 3
        else message
        for number, message in enumerate(judging_messages("164", note="A", batch_id="of-no-batch") * 8)
    ]
    records = raws_of(messages)
    writing.prepare(records)

    await writing.ingest(records)

    decisions = [e for e in recorded_events(database) if isinstance(e, JudgeDecisionRecorded)]
    assert [e.originator_version for e in decisions] == list(range(1, len(decisions) + 1))
    alone = Ingestion(FakeEventStore()).insist(intakes_of(messages)).events
    told = [(e.request_id, e.batch_id) for e in alone if isinstance(e, JudgeDecisionRecorded)]
    assert [(e.request_id, e.batch_id) for e in decisions] == told


async def test_an_ingester_goes_on_when_its_other_process_is_killed(
    writing: Writing, database: PostgresProbe
) -> None:
    messages = list(stream(9, 8, class_sizes=(8,)))
    records = raws_of(messages)
    writing.prepare(records)
    [second] = writing.processes
    second.suspend()  # so that it has answered nothing yet
    begun = [await writing.begin(records[at : at + _SIZE]) for at in (0, _SIZE)]
    second.kill()
    for portion in begun:
        writing.write(portion)

    elsewhere = await writing.ingest(records[2 * _SIZE :])

    assert all(portion.ticket for portion in begun)
    assert not any(elsewhere)
    check_as_undisturbed(database, messages)


async def test_a_process_that_is_killed_while_it_has_nothing_to_do_is_missed(
    writing: Writing, database: PostgresProbe
) -> None:
    messages = messages_of(small_batch(essays=40))
    records = raws_of(messages)
    writing.prepare(records)
    await writing.ingest(records[:_SIZE])
    [other] = writing.processes
    other.kill()
    wait_until(lambda: writing.deciding.ask(records[_SIZE:]) is None, what="it is missed", deadline_s=60)

    elsewhere = await writing.ingest(records[_SIZE:])

    assert not any(elsewhere)
    assert not writing.deciding.are_ready
    check_as_undisturbed(database, messages)


async def test_a_process_that_is_killed_while_it_answers_is_missed(writing: Writing) -> None:
    records = raws_of(list(stream(10, 300, class_sizes=(24,))))
    writing.prepare(records)
    [other] = writing.processes

    def written() -> int:
        return int(other.io_counters().write_chars)

    before = written()
    ticket = writing.deciding.ask(records)
    assert ticket is not None
    with suppress(psutil.Error):
        wait_until(lambda: written() - before > 65_536, what="it writes its answer", deadline_s=60)
    other.kill()

    async with asyncio.timeout(60):
        await asyncio.to_thread(writing.deciding.answer_of, ticket)

    wait_until(lambda: writing.processes == [], what="it has ended", deadline_s=60)


async def test_a_message_that_the_store_refuses_becomes_a_dead_letter_alone(
    writing: Writing, database: PostgresProbe
) -> None:
    messages = messages_of(small_batch("good", essays=4), small_batch("bad", essays=4, failed=1))
    # Digits beyond 64 bits need the slower encoder, which does not write infinity.
    beyond = b'"http_status":[1e999,%d]' % 10**30
    records = [
        (*record[:5], (record[5] or b"").replace(b'"http_status":502', beyond), *record[6:])
        for record in raws_of(messages)
    ]
    writing.prepare(records)

    await writing.ingest(records)

    events = recorded_events(database)
    [letter] = [event for event in events if isinstance(event, MessageDeadLettered)]
    assert letter.reason is Reason.NOT_STORABLE
    assert database.value("SELECT sum(taken_in) FROM ras.intake_counts") == len(messages)


async def test_what_was_decided_on_a_store_that_was_restored_since_is_not_recorded(
    writing: Writing, database: PostgresProbe
) -> None:
    records = raws_of(messages_of(small_batch(essays=40)))
    writing.prepare(records)
    await writing.ingest(records[:_SIZE])
    begun = await writing.begin(records[_SIZE:])
    before = database.log()
    # The other positions stay, as if nothing had been read from these partitions between the backup and now.
    database.execute("UPDATE ras.positions SET position = position - 1 WHERE name LIKE 'ingester/%%'")

    with pytest.raises(StalePositionError):
        writing.write(begun)

    assert database.log() == before
