"""`ras check` on real tables: everything agrees after honest work, and whatever is tampered with is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest

from application.conservation import Finding, Report
from application.deciding import Intake, letter_id
from application.drain import DrainParked
from application.inbox import MarkNotificationRead
from application.settle import SettleDeadLetters
from application.topics import BATCH_PIPELINE_COMPLETED
from application.translate import translate
from domain.batch import BatchAggregate, batch_stream_id
from domain.batch_events import DrainOutcome
from domain.dead_letters import RetryOutcome
from infrastructure.check import streams
from infrastructure.check.check import CheckUnderWayError, check
from infrastructure.check.read_models import OWNERS
from infrastructure.demo.stream import stream
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.positions import projection_position
from infrastructure.eventstore.store import EventStore
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from infrastructure.settings import Servers
from projections.catalogue import PROJECTIONS
from tests.support.following import at_work, crew, until
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import PostgresProbe, opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

LATER = small_batch("later", essays=2)


class Installation:
    """A store with its read models. `checked` runs `ras check` on it."""

    def __init__(self, store: EventStore, database: PostgresProbe, url: str) -> None:
        self.store = store
        self.database = database
        self._url = url
        scenario = list(stream(20_261_124, 12, class_sizes=(1, 5), repeats=0.3))
        intakes = intakes_of([*scenario, *messages_of(LATER)])
        self._first, self._later = intakes[: len(scenario)], intakes[len(scenario) :]
        self._ingestion = Ingestion(store)

    async def begin(self) -> None:
        """A few batches and a dead letter are ingested, a teacher reads a notification, all is projected."""
        for start in range(0, len(self._first), 40):
            self._ingestion.insist(self._first[start : start + 40])
        self._ingestion.insist([dead_letter(BATCH_PIPELINE_COMPLETED, partition=7)])
        await self.project()
        [[notification_id, teacher_id]] = self.database.rows(
            "SELECT notification_id, teacher_id FROM ras_teacher_inbox.notifications ORDER BY position LIMIT 1"
        )
        MarkNotificationRead(self.store)(notification_id, teacher_id, correlation_id=None)
        await self.project()

    def take_in_more(self) -> None:
        """One more batch is ingested."""
        self._ingestion.insist(self._later)

    async def project(self) -> None:
        """Bring every read model up to date."""
        await project(self._url, self.database)

    async def checked(self, *, incremental: bool = False) -> Report:
        """Check without a broker: the out-topics are looked at in tests/e2e."""
        told: list[tuple[str, int, int]] = []
        report = await check(
            Servers(self._url, ""),
            "ras-publisher",
            incremental=incremental,
            progress=lambda *progress: told.append(progress),
        )
        assert told[-1][1] == told[-1][2]
        return report


@pytest.fixture(scope="module")
async def honest_work(postgres_server: PostgresServerUnderTest) -> AsyncIterator[str]:
    """The URL of a database in which an installation has done honest work, to be copied."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store, probe(url) as database:
            await Installation(store, database, url).begin()
        yield url


@pytest.fixture
def store_url(postgres_server: PostgresServerUnderTest, honest_work: str) -> Iterator[str]:
    """A copy of that database for this test to damage."""
    with fresh_database(postgres_server.url, like=honest_work) as url:
        yield url


@pytest.fixture
def database(store_url: str) -> Iterator[PostgresProbe]:
    """A look into it."""
    with probe(store_url) as looking:
        yield looking


@pytest.fixture
def ras(database: PostgresProbe, store_url: str) -> Iterator[Installation]:
    """An installation that has done honest work."""
    with opened_store(store_url) as store:
        yield Installation(store, database, store_url)


async def project(store_url: str, database: PostgresProbe) -> None:
    """Bring every read model up to date."""
    head = database.value("SELECT max(notification_id) FROM ras.stored_events")

    def up_to_date() -> bool:
        positions = database.positions()
        return all(positions.get(projection_position(p.name), 0) >= head for p in PROJECTIONS)

    async with (
        crew(store_url) as members,
        at_work(members, *(members.follower(projection) for projection in PROJECTIONS)),
    ):
        await until(up_to_date, what="the read models are up to date")


def names(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    """Return account and id of each finding."""
    return {(finding.account, finding.id) for finding in findings}


async def test_honest_work_agrees(ras: Installation, database: PostgresProbe) -> None:
    report = await ras.checked()

    assert report.findings == []
    assert report.consistent
    found = {account.name: account.found for account in report.accounts}
    assert found["dead_letters.letters"] == 1
    assert found["batch_results.batches"] == 12
    taken_in = database.value("SELECT sum(taken_in) FROM ras.intake_counts")
    assert sum(n for name, n in found.items() if name.startswith("intake/")) == taken_in
    assert found["intake, in total"] == taken_in


async def test_messages_that_were_put_aside_and_taken_in_later_agree_whole_and_bit_by_bit(
    ras: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came in counts as what it was then; what operators did later is recorded and shown besides."""

    def fail(_batch: BatchAggregate, **_facts: object) -> None:
        raise KeyError("bug")

    with monkeypatch.context() as patch:
        patch.setattr(BatchAggregate, "record_spellcheck", fail)
        ras.take_in_more()
    late = next(i.message for i in intakes_of(messages_of(small_batch("late"))))
    late = replace(late, partition=9)
    too_early = translate(late, received_at=late.timestamp - timedelta(days=800))
    Ingestion(ras.store).insist([Intake(late, too_early)])
    await ras.project()
    assert (await ras.checked(incremental=True)).consistent

    tolerance = timedelta(days=365)
    retried = SettleDeadLetters(ras.store, future_tolerance=tolerance).retry(letter_id(late), by="operator")
    stream = batch_stream_id(LATER.batch_id)
    drained = DrainParked(ras.store, future_tolerance=tolerance)(stream, by="operator")
    await ras.project()

    assert retried.outcome is RetryOutcome.RECORDED
    assert (drained.outcomes[DrainOutcome.RECORDED] > 0, drained.left) == (True, 0)
    for incremental in (True, False):
        report = await ras.checked(incremental=incremental)
        assert (report.findings, report.consistent) == ([], True)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("ras_batch_results.batches", ["batch_id"]),
        ("ras_batch_results.essays", ["batch_id", "essay_id"]),
        ("ras_batch_results.rankings", ["batch_id", "essay_id"]),
        ("ras_batch_results.phases", ["batch_id", "phase"]),
        ("ras_teacher_inbox.notifications", ["notification_id"]),
        ("ras_dead_letters.letters", ["position"]),
    ],
)
async def test_a_lost_row_is_named(
    ras: Installation, database: PostgresProbe, table: str, key: list[str]
) -> None:
    place = f"ctid = (SELECT ctid FROM {table} ORDER BY {', '.join(key)} DESC LIMIT 1)"
    [values] = database.rows(f"SELECT {', '.join(key)} FROM {table} WHERE {place}")
    database.execute(f"DELETE FROM {table} WHERE {place}")

    report = await ras.checked()

    name = ", ".join(f"{k}={v}" for k, v in zip(key, values, strict=True))
    assert names(report.findings) == {(f"read model {table.removeprefix('ras_')}", name)}
    assert "missing" in report.findings[0].detail
    assert not report.consistent


async def test_an_altered_row_is_named_with_its_columns(ras: Installation, database: PostgresProbe) -> None:
    [[batch_id, essay_id]] = database.rows(
        "UPDATE ras_batch_results.rankings SET rank = rank + 1, letter_grade = 'U' WHERE ctid ="
        " (SELECT min(ctid) FROM ras_batch_results.rankings) RETURNING batch_id, essay_id"
    )

    [finding] = (await ras.checked()).findings

    assert finding.id == f"batch_id={batch_id}, essay_id={essay_id}"
    assert "rank, letter_grade" in finding.detail


async def test_rows_that_no_event_calls_for_are_named(ras: Installation, database: PostgresProbe) -> None:
    database.execute(
        "INSERT INTO ras_batch_results.phases SELECT 'no-such-batch', phase, status, processed_count,"
        " failed_essay_ids, concluded_at FROM ras_batch_results.phases LIMIT 1"
    )
    database.execute(
        "INSERT INTO ras_batch_results.phases SELECT batch_id, 'invented', status, processed_count,"
        " failed_essay_ids, concluded_at FROM ras_batch_results.phases LIMIT 1"
    )

    findings = (await ras.checked()).findings

    assert len(findings) == 2
    assert any("phase=invented" in finding.id for finding in findings)
    assert any("batch_id=no-such-batch" in finding.id for finding in findings)


async def test_a_lost_event_is_named_by_stream_and_version(
    ras: Installation, database: PostgresProbe
) -> None:
    [[stream_id]] = database.rows(
        "DELETE FROM ras.stored_events WHERE originator_version = 2 AND originator_id ="
        " (SELECT min(originator_id) FROM ras.stored_events WHERE originator_version = 2)"
        " RETURNING originator_id"
    )

    report = await ras.checked()

    assert ("event store", f"{stream_id}/2") in names(report.findings)
    assert [account for account in report.accounts if not account.agrees]


async def test_a_lost_announcement_is_named(ras: Installation, database: PostgresProbe) -> None:
    [[stream_id, version]] = database.rows(
        "DELETE FROM ras.stored_events WHERE topic = 'ras.batch.results-ready.v2' AND originator_id ="
        " (SELECT min(originator_id) FROM ras.stored_events WHERE topic = 'ras.batch.results-ready.v2')"
        " RETURNING originator_id, originator_version"
    )

    assert ("announcements", f"{stream_id}/{version}") in names((await ras.checked()).findings)


@pytest.mark.parametrize(
    "lost", ["ras.assessment.result-recorded.v1", "ras.batch.assessment-completed.v1"], ids=["job", "batch"]
)
async def test_a_result_that_was_lost_in_one_of_its_two_streams_is_named_even_after_a_rebuild(
    ras: Installation, database: PostgresProbe, lost: str, store_url: str
) -> None:
    [[stream_id]] = database.rows(
        "SELECT originator_id FROM ras.stored_events WHERE topic = %s ORDER BY notification_id LIMIT 1", lost
    )
    gone = database.rows(
        "DELETE FROM ras.stored_events WHERE originator_id = %s AND originator_version >="
        " (SELECT min(originator_version) FROM ras.stored_events WHERE originator_id = %s AND topic = %s)"
        " RETURNING originator_version",
        stream_id,
        stream_id,
        lost,
    )
    Rebuilding(store_url, event_codec()).rebuild(PROJECTIONS, accept_differences=True)

    named = {f.id: f.detail for f in (await ras.checked()).findings if f.account == "event store"}

    assert "is missing here" in named[f"{stream_id}/{min(version for (version,) in gone)}"]


async def test_an_event_added_by_hand_is_named(ras: Installation, database: PostgresProbe) -> None:
    [[stream_id, version]] = database.rows(
        "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, (SELECT max(originator_version) + 1 FROM ras.stored_events x"
        "     WHERE x.originator_id = e.originator_id), topic, state"
        " FROM ras.stored_events e WHERE topic = 'ras.batch.essay-spellchecked.v1' LIMIT 1"
        " RETURNING originator_id, originator_version"
    )

    assert ("intake", f"{stream_id}/{version}") in names((await ras.checked()).findings)


DAMAGES = {
    "no topic of ours": ("os:system", b"{}"),
    "no JSON": ("ras.batch.essay-spellchecked.v1", b"xx"),
    "nothing in it": ("ras.batch.essay-spellchecked.v1", b"{}"),
    "no object": ("ras.batch.registered.v1", b"[]"),
    "empty": ("ras.assessment.result-recorded.v1", b""),
    "not UTF-8": ("ras.batch.results-ready.v1", b'{"causation": {"topic": "\xff"}}'),
    "a zero byte": ("ras.dead-letter.message-dead-lettered.v1", b"\x00"),
    "an origin of other types": (
        "ras.batch.phase-concluded.v1",
        b'{"causation": {"topic": 1, "partition": "x", "offset": 1e400}, "u": "\\u0000\\ud800"}',
    ),
}


@pytest.mark.parametrize(("topic", "state"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("stream_of", ["ras.batch.registered.v1", "ras.assessment.result-recorded.v1"])
async def test_an_event_that_cannot_be_read_is_named_and_the_rest_is_checked(
    ras: Installation, database: PostgresProbe, stream_of: str, topic: str, state: bytes
) -> None:
    [[stream_id, version]] = database.rows(
        "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
        " SELECT originator_id, max(originator_version) + 1, %s, %s FROM ras.stored_events WHERE originator_id ="
        " (SELECT min(originator_id) FROM ras.stored_events WHERE topic = %s) GROUP BY originator_id"
        " RETURNING originator_id, originator_version",
        topic,
        state,
        stream_of,
    )
    database.execute("DELETE FROM ras_batch_results.rankings WHERE ctid = '(0,1)'")

    report = await ras.checked()

    assert names(report.findings) - {("event store", f"{stream_id}/{version}")} == {
        (finding.account, finding.id)
        for finding in report.findings
        if finding.account == "read model batch_results.rankings"
    }
    assert len(report.findings) == 2


async def test_a_stored_event_with_a_zero_in_its_text_counts(
    ras: Installation, database: PostgresProbe
) -> None:
    database.execute(
        "UPDATE ras.stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
        " '\"why\":\"', '\"why\":\"\\u0000'), 'UTF8')"
    )
    database.execute(
        "UPDATE ras.stored_events SET state = convert_to(regexp_replace(convert_from(state, 'UTF8'),"
        """ '"detail":"', '"detail":"\\\\u0000'), 'UTF8') WHERE topic = 'ras.dead-letter.message-dead-lettered.v1'"""
    )

    assert "intake" not in {finding.account for finding in (await ras.checked()).findings}


async def test_pages_of_any_size_come_to_the_same(ras: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = await ras.checked()
    monkeypatch.setattr(streams, "PAGE_EVENTS", 7)
    monkeypatch.setattr(streams, "PAGE_BYTES", 4_000)
    monkeypatch.setattr(streams, "PORTION_EVENTS", 30)

    cut = await ras.checked()

    assert (cut.findings, cut.accounts) == ([], whole.accounts)


@pytest.mark.parametrize(
    ("damage", "mend", "named"),
    [
        (
            "ALTER SCHEMA ras_dead_letters RENAME TO gone",
            "ALTER SCHEMA gone RENAME TO ras_dead_letters",
            "dead_letters",
        ),
        (
            "ALTER TABLE ras_teacher_inbox.notifications RENAME TO gone",
            "ALTER TABLE ras_teacher_inbox.gone RENAME TO notifications",
            "teacher_inbox.notifications",
        ),
        (
            "ALTER TABLE ras_batch_results.phases RENAME COLUMN processed_count TO gone",
            "ALTER TABLE ras_batch_results.phases RENAME COLUMN gone TO processed_count",
            "batch_results.phases",
        ),
        (
            "ALTER TABLE ras_assessments.jobs ALTER COLUMN position TYPE text",
            "ALTER TABLE ras_assessments.jobs ALTER COLUMN position TYPE bigint USING position::bigint",
            "assessments.jobs",
        ),
        (
            "UPDATE ras.read_models SET version = 0 WHERE name = 'batch_results'",
            "UPDATE ras.read_models SET version = 1 WHERE name = 'batch_results'",
            "batch_results",
        ),
    ],
)
async def test_tables_that_are_gone_are_named_with_what_to_run_and_the_rest_is_checked(
    ras: Installation, database: PostgresProbe, damage: LiteralString, mend: LiteralString, named: str
) -> None:
    assert (await ras.checked()).consistent
    database.execute(damage)
    [[stream_id]] = database.rows(
        "DELETE FROM ras.stored_events WHERE originator_version = 1 AND originator_id ="
        " (SELECT min(originator_id) FROM ras.stored_events WHERE topic = 'ras.batch.registered.v1')"
        " RETURNING originator_id"
    )
    try:
        for incremental in (True, False):
            findings = (await ras.checked(incremental=incremental)).findings
            [finding] = [finding for finding in findings if finding.account == "read models"]
            assert finding.id == named
            assert f"ras rebuild {named.partition('.')[0]}" in finding.detail
        assert f"{stream_id}/1" in {finding.id for finding in findings}
    finally:
        database.execute(mend)


@pytest.mark.parametrize(
    ("kept", "note"),
    [
        ("{}", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"position": "7", "counts": [], "published": 0, "offsets": []}', "cannot be read"),
        ('{"position": 0, "counts": [["topic", 0, 1]], "published": 0, "offsets": []}', "cannot be read"),
        ('{"position": 99999999, "counts": [], "published": 0, "offsets": []}', "up to event 99999999"),
    ],
)
async def test_an_incremental_check_that_cannot_go_on_from_the_last_looks_at_everything(
    ras: Installation, database: PostgresProbe, kept: str, note: str
) -> None:
    first = await ras.checked()
    database.execute("UPDATE ras.check_state SET state = %s::jsonb", kept)
    database.execute("DELETE FROM ras_batch_results.rankings WHERE ctid = '(0,1)'")

    report = await ras.checked(incremental=True)

    assert (report.since, report.position) == (0, first.position)
    assert any(note in each and "everything was looked at" in each for each in report.notes)
    assert [finding.account for finding in report.findings] == ["read model batch_results.rankings"]


async def test_an_event_copied_to_where_it_does_not_belong_is_named(
    ras: Installation, database: PostgresProbe
) -> None:
    """An event of every kind, copied to the end of a stream of every kind; of one kind to all four at once."""
    kinds = [kind for (kind,) in database.rows("SELECT DISTINCT topic FROM ras.stored_events ORDER BY 1")]
    streams_of = (
        "ras.batch.registered.v1",
        "ras.assessment.result-recorded.v1",
        "ras.inbox.notification-read.v1",
        "ras.dead-letter.message-dead-lettered.v1",
    )
    for kind in kinds:
        copies = {
            stream_of: database.rows(
                "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
                " SELECT s.originator_id, s.version + 1, e.topic, e.state FROM"
                " (SELECT originator_id, max(originator_version) AS version FROM ras.stored_events WHERE"
                "  originator_id = (SELECT max(originator_id) FROM ras.stored_events WHERE topic = %s)"
                "  GROUP BY originator_id) s,"
                " (SELECT topic, state FROM ras.stored_events WHERE topic = %s ORDER BY notification_id LIMIT 1) e"
                " RETURNING originator_id, originator_version, notification_id",
                stream_of,
                kind,
            )
            for stream_of in streams_of
        }
        report = await ras.checked()

        found = {finding.id for finding in report.findings}
        for stream_of, [[stream_id, version, number]] in copies.items():
            database.execute("DELETE FROM ras.stored_events WHERE notification_id = %s", number)
            assert f"{stream_id}/{version}" in found, (stream_of, kind, report.findings)


async def test_a_mark_on_a_notification_that_was_never_sent_is_named(
    ras: Installation, database: PostgresProbe
) -> None:
    [[stream_id]] = database.rows(
        "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
        " SELECT 'inbox-' || %s, 1, topic, convert_to(replace(convert_from(state, 'UTF8'),"
        "  substr(originator_id, 7), %s), 'UTF8') FROM ras.stored_events"
        " WHERE topic = 'ras.inbox.notification-read.v1' RETURNING originator_id",
        "00000000-0000-4000-8000-000000000007",
        "00000000-0000-4000-8000-000000000007",
    )
    assert (await ras.checked()).consistent, "the inbox has not come to it yet"

    await ras.project()

    assert names((await ras.checked()).findings) == {("event store", f"{stream_id}/1")}


@pytest.mark.parametrize("kind", ["ras.batch.essay-spellchecked.v1", "ras.batch.pipeline-completed.v1"])
async def test_the_message_whose_event_is_gone_is_named_even_after_a_rebuild(
    ras: Installation, database: PostgresProbe, kind: str, store_url: str
) -> None:
    [[stream_id, version, cause]] = database.rows(
        "DELETE FROM ras.stored_events WHERE notification_id = (SELECT max(notification_id) FROM ras.stored_events"
        " WHERE topic = %s) RETURNING originator_id, originator_version,"
        " convert_from(state, 'UTF8')::jsonb -> 'causation'",
        kind,
    )
    database.execute(  # without what followed from it, as if all of it had never been
        "DELETE FROM ras.stored_events WHERE originator_id = %s AND originator_version > %s",
        stream_id,
        version,
    )
    Rebuilding(store_url, event_codec()).rebuild(PROJECTIONS, accept_differences=True)

    named = {finding.id for finding in (await ras.checked()).findings if finding.account == "intake"}

    assert f"{cause['topic']}/{cause['partition']}/{cause['offset']}" in named


async def test_large_letters_agree_and_a_damaged_one_is_named(
    ras: Installation, database: PostgresProbe
) -> None:
    large = [dead_letter(BATCH_PIPELINE_COMPLETED, partition=p, value=b"x" * 200_000) for p in (11, 12, 13)]
    Ingestion(ras.store).insist(large)
    await ras.project()
    assert (await ras.checked()).consistent

    database.execute(
        "UPDATE ras.stored_events SET state = substring(state FOR 150000) WHERE originator_id = %s",
        letter_id(large[1].message),
    )

    assert ("event store", f"{letter_id(large[1].message)}/1") in names((await ras.checked()).findings)


async def test_a_lost_count_of_the_intake_is_named(ras: Installation, database: PostgresProbe) -> None:
    [[topic, partition]] = database.rows(
        "DELETE FROM ras.intake_counts WHERE recorded > 0 AND ctid ="
        " (SELECT min(ctid) FROM ras.intake_counts WHERE recorded > 0) RETURNING topic, partition"
    )

    assert ("intake", f"{topic}/{partition}") in names((await ras.checked()).findings)


async def test_an_incremental_check_looks_at_what_is_new(ras: Installation, database: PostgresProbe) -> None:
    first = await ras.checked()
    assert first.consistent
    again = await ras.checked(incremental=True)
    assert (again.since, again.consistent) == (first.position, True)
    assert [account for account in again.accounts if account.unit == "rows" and account.found] == []

    ras.take_in_more()
    await ras.project()
    database.execute("DELETE FROM ras_batch_results.rankings WHERE batch_id = %s", LATER.batch_id)

    later = await ras.checked(incremental=True)
    assert {finding.account for finding in later.findings} == {"read model batch_results.rankings"}
    assert (await ras.checked(incremental=True)).since == first.position, "what does not fit is found again"


async def test_read_models_that_are_behind_are_no_fault(ras: Installation) -> None:
    ras.take_in_more()

    assert (await ras.checked()).consistent


async def test_one_check_at_a_time(ras: Installation, store_url: str) -> None:
    with psycopg.connect(store_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x52415302,))
        with pytest.raises(CheckUnderWayError, match="Another check"):
            await ras.checked()


def test_every_projection_says_whose_its_rows_are() -> None:
    assert OWNERS.keys() == {projection.name for projection in PROJECTIONS}
    for projection in PROJECTIONS:
        for table in projection.metadata.sorted_tables:
            assert OWNERS[projection.name][0] in table.columns
