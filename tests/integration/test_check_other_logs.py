"""`ras check` where one offset has stood for two messages, because the topics were recreated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from application.conservation import Report
from application.deciding import Intake, letter_id
from application.intake_positions import intake_position
from application.settle import SettleDeadLetters
from application.translate import translate
from domain.batch_events import EssaySpellchecked
from domain.dead_letters import RetryOutcome
from infrastructure.check.check import check
from infrastructure.eventstore.positions import forget_intake
from infrastructure.eventstore.store import EventStore
from infrastructure.settings import Servers
from projections.catalogue import PROJECTIONS
from tests.integration.test_check import project
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe

_TOLERANCE = timedelta(days=365)
_BEFORE = intakes_of(messages_of(small_batch("before", essays=5), small_batch("also-before", essays=4)))
_AFTER = intakes_of(messages_of(small_batch("after", essays=2)))


def refused(intake: Intake) -> Intake:
    """Return the message as it is refused while its sender's clock is years ahead of ours."""
    message = intake.message
    return Intake(message, translate(message, received_at=message.timestamp - timedelta(days=800)))


class Anew:
    """A store, of which the topics are recreated on the way."""

    def __init__(self, store: EventStore, database: PostgresProbe, url: str) -> None:
        self.store = store
        self.database = database
        self.url = url

    async def take_in(self, intakes: Sequence[Intake]) -> None:
        """Take in and project."""
        Ingestion(self.store).insist(intakes)
        await project(self.url, self.database)

    def make_anew(self) -> None:
        """Set every position back, as an ingester does that was told to accept the gap."""
        use_case = Ingestion(self.store).use_case
        partitions = {(i.message.topic, i.message.partition) for i in _BEFORE}
        for partition, position in use_case.positions(sorted(partitions)).items():
            use_case.skip(*partition, position, -1)

    def begin_with_empty_broker(self) -> None:
        """Forget every position, as `ras up` does when its own broker begins."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            forget_intake(connection)

    async def checked(self, *, incremental: bool = False) -> Report:
        """Check without a broker."""
        return await check(
            Servers(self.url, ""),
            "ras-publisher",
            incremental=incremental,
            progress=lambda _what, _done, _total: None,
        )


@pytest.fixture
async def anew(store: EventStore, database: PostgresProbe, store_url: str) -> Anew:
    """A store in which a few batches are and one letter, the first message of its partition."""
    tables = ", ".join(t.fullname for p in PROJECTIONS for t in p.metadata.sorted_tables)
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE ras.check_state, {tables}".encode())
    anew = Anew(store, database, store_url)
    await anew.take_in([refused(_BEFORE[0]), *_BEFORE[1:]])
    return anew


@pytest.mark.parametrize("way", [Anew.make_anew, Anew.begin_with_empty_broker])
@pytest.mark.parametrize("incremental", [False, True])
async def test_topics_made_anew_agree(anew: Anew, way: object, incremental: bool) -> None:
    assert (await anew.checked()).consistent
    assert callable(way)
    way(anew)
    await anew.take_in(_AFTER)

    report = await anew.checked(incremental=incremental)

    assert (report.findings, report.consistent) == ([], True)
    assert any("were started again in Kafka" in note for note in report.notes)

    way(anew)  # and once more: each log is told from each other
    await anew.take_in([refused(intake) for intake in _AFTER])
    report = await anew.checked(incremental=incremental)
    assert (report.findings, report.consistent) == ([], True)


async def test_a_letter_of_before_is_taken_in_where_another_message_lies_now(anew: Anew) -> None:
    anew.make_anew()
    [intake] = intakes_of(m for m in messages_of(small_batch("after")) if m.topic == _BEFORE[0].message.topic)
    await anew.take_in(
        [Intake(replace(intake.message, partition=_BEFORE[0].message.partition), intake.outcome)]
    )
    assert (await anew.checked(incremental=True)).consistent

    settle = SettleDeadLetters(anew.store, future_tolerance=_TOLERANCE)
    assert settle.retry(letter_id(_BEFORE[0].message), by="operator").outcome is RetryOutcome.RECORDED
    await project(anew.url, anew.database)

    for incremental in (True, False):
        report = await anew.checked(incremental=incremental)
        assert (report.findings, report.consistent) == ([], True)


async def test_what_does_not_fit_the_new_log_is_named(anew: Anew) -> None:
    anew.make_anew()
    await anew.take_in(_AFTER)
    [[name, position]] = anew.database.rows(
        "SELECT name, position FROM ras.positions WHERE position > 0 AND name LIKE 'intake/%%' ORDER BY 1 LIMIT 1"
    )
    anew.database.execute("UPDATE ras.positions SET position = position - 1 WHERE name = %s", name)

    details = [finding.detail for finding in (await anew.checked()).findings]

    coordinates = f"{name.removeprefix('intake/')}/{position}"
    assert details == [f"It comes from {coordinates}, which no ingester has ingested."]


async def test_a_message_that_is_taken_in_twice_in_the_new_log_is_named(anew: Anew) -> None:
    anew.make_anew()
    await anew.take_in(_AFTER)
    anew.database.execute(
        "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, (SELECT max(originator_version) + 1 FROM ras.stored_events x"
        "     WHERE x.originator_id = e.originator_id), topic, state"
        " FROM ras.stored_events e WHERE topic = %s ORDER BY notification_id DESC LIMIT 1",
        EssaySpellchecked.topic,
    )

    assert any("is recorded more than once" in finding.detail for finding in (await anew.checked()).findings)


async def test_only_a_position_that_moves_back_begins_another_log(anew: Anew) -> None:
    beginnings = "SELECT name, after FROM ras.log_beginnings"
    assert anew.database.rows(beginnings) == []
    use_case = Ingestion(anew.store).use_case
    topic, partition = _BEFORE[0].message.topic, _BEFORE[0].message.partition
    [position] = use_case.positions([(topic, partition)]).values()
    use_case.skip(topic, partition, position, position + 7)  # retention took what lies between
    assert anew.database.rows(beginnings) == []

    use_case.skip(topic, partition, position + 7, 2)

    head = anew.database.value("SELECT max(notification_id) FROM ras.stored_events")
    assert anew.database.rows(beginnings) == [(intake_position(topic, partition), head)]
