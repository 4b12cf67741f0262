"""One RAS on a real PostgreSQL that takes messages of any kind; what becomes of them is counted, step by step."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Final, TypeVar

import orjson

from application.envelopes import OUTBOX_EVENTS, OutgoingMessage, outgoing_messages
from application.explanation import ExplainReadiness
from application.history import BatchHistory
from application.messages import IncomingMessage
from application.ports import IntakeCounts
from application.translate import Rejection
from domain.batch import batch_stream_id
from domain.dead_letters import MessageDeadLettered
from infrastructure.check.check import check
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.kafka.topics import MAX_MESSAGE_BYTES
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from infrastructure.rebuild.states import State
from infrastructure.roles.bootstrap import stream_reader
from infrastructure.settings import Servers
from projections.catalogue import PROJECTIONS
from tests.support.fake_store import summed
from tests.support.following import at_work, crew, until
from tests.support.ingesting import Ingestion, intake_of
from tests.support.postgres_probe import PostgresProbe, opened_store, probe

_MICRO_BATCH: Final = 200
_T = TypeVar("_T")

Step = Callable[[str, int], None]
"""Called with what is being done and how many messages, events or batches of it are done."""


@dataclass
class Outcome:
    """What a run came to."""

    messages: int = 0
    bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    counts: IntakeCounts = field(default_factory=IntakeCounts)
    events: int = 0
    batches: int = 0
    published: int = 0

    def lines(self) -> Iterator[str]:
        """Yield the account for people."""
        yield f"{self.messages:,} messages of {self.bytes:,} bytes: {asdict(self.counts)}"
        yield f"dead letters: {dict(self.reasons)}"
        yield f"{self.events:,} events of {self.batches:,} batches; {self.published:,} records to publish"


def put_through(url: str, messages: Iterable[IncomingMessage], step: Step = lambda *_: None) -> Outcome:
    """Take in `messages` on the empty database `url`; project, rebuild, check, tell and encode what came of them.

    Raises AssertionError where an account does not fit, and whatever stopped a step, with the place of the message.
    """
    outcome = Outcome()
    initialise(url)
    with ExitStack() as stack:
        store = stack.enter_context(opened_store(url))
        database = stack.enter_context(probe(url))
        ingestion = Ingestion(store)
        for batch in _parts(messages, _MICRO_BATCH):
            _take_in(ingestion, batch, outcome)
            step("ingested", outcome.messages)
        _account(database, outcome)
        _project(url, database, step)
        outcome.events = _head(database)
    _rebuild(url, step)
    _check(url, step)
    _tell(url, outcome, step)
    return outcome


def _take_in(ingestion: Ingestion, messages: list[IncomingMessage], outcome: Outcome) -> None:
    intakes = []
    for message in messages:
        outcome.messages += 1
        outcome.bytes += len(message.value or b"")
        try:
            intakes.append(intake_of(message))
        except Exception as error:
            raise AssertionError(
                f"message {outcome.messages} stopped the intake: {message!r:.2000}"
            ) from error
    refused = (i.outcome.reason.value for i in intakes if isinstance(i.outcome, Rejection))
    outcome.reasons.update(refused)
    try:
        ingestion.insist(intakes)
    except Exception as error:
        raise AssertionError(f"one of the {len(messages)} up to {outcome.messages} stopped it") from error


def _account(database: PostgresProbe, outcome: Outcome) -> None:
    """Every message is counted once, and as a dead letter only where the contract refuses it."""
    for counts in database.counts().values():
        outcome.counts = summed(outcome.counts, counts)
    counted = outcome.counts
    assert counted.taken_in == outcome.messages
    assert counted.recorded + counted.repeated + counted.dead_lettered + counted.parked == counted.taken_in
    assert counted.parked == 0, "a message waits for a fix of RAS: a mutation is no reason for that"
    letters = database.value(
        "SELECT count(*) FROM ras.stored_events WHERE topic = %s", MessageDeadLettered.topic
    )
    assert letters == counted.dead_lettered
    assert outcome.reasons.total() <= counted.dead_lettered


def _project(url: str, database: PostgresProbe, step: Step) -> None:
    """Let every projector come to the end of the log; one that waits at an event fails the run."""

    def places() -> dict[str, int]:
        return {p.name: database.positions().get(f"projection/{p.name}", 0) for p in PROJECTIONS}

    async def followed() -> None:
        head = _head(database)
        async with crew(url, max_events=2000) as members:
            followers = [members.follower(projection) for projection in PROJECTIONS]
            async with at_work(members, *followers):
                while (before := places()) != dict.fromkeys(before, head):
                    step("projected", min(before.values()))
                    await until(lambda: places() != before, what="a projector goes on", state=places)

    asyncio.run(followed())


def _rebuild(url: str, step: Step) -> None:
    step("rebuilt", 0)
    for rebuilt in Rebuilding(url, event_codec()).rebuild(PROJECTIONS):
        assert rebuilt.state is not State.ABANDONED, f"{rebuilt.name}: {rebuilt.comparison}"
        assert rebuilt.comparison is None or rebuilt.comparison.equal, f"{rebuilt.name}: {rebuilt.comparison}"


def _check(url: str, step: Step) -> None:
    report = asyncio.run(
        check(Servers(url, ""), "fuzz", incremental=False, progress=lambda what, done, _: step(what, done))
    )
    assert report.consistent, [(f.account, f.id, f.detail) for f in report.findings]
    assert report.findings == []


def _tell(url: str, outcome: Outcome, step: Step) -> None:
    """Tell and explain every batch as JSON, and encode every record that is to be published."""
    with probe(url) as database:
        streams = database.rows("SELECT DISTINCT originator_id FROM ras.stored_events ORDER BY 1")
        codec = event_codec()
        for stored in database.stored():
            event = codec.to_domain_event(stored)
            if isinstance(event, OUTBOX_EVENTS):
                for message in outgoing_messages(event):
                    _encode(message, outcome)
        step("encoded", outcome.published)
    reader = stream_reader(url)
    try:
        prefix = batch_stream_id("")
        for batch_id in (name.removeprefix(prefix) for (name,) in streams if name.startswith(prefix)):
            outcome.batches += 1
            told = list(BatchHistory(reader.read).events(batch_id))
            assert orjson.dumps([told, ExplainReadiness(reader.read)(batch_id)])
            assert [event["version"] for event in told] == list(range(1, len(told) + 1))
            step("told", outcome.batches)
    finally:
        reader.close()


def _encode(message: OutgoingMessage, outcome: Outcome) -> None:
    outcome.published += 1
    size = len(message.key) + len(message.value) + sum(len(n) + len(v) for n, v in message.headers)
    assert size <= MAX_MESSAGE_BYTES
    assert orjson.loads(message.value)["event_id"]
    assert all(isinstance(value, bytes) for _, value in message.headers)


def _head(database: PostgresProbe) -> int:
    return int(database.value("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events"))


def _parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part
