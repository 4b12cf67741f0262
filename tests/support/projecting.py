"""Fills the read models the short way: messages in, rows out, without Kafka, event store or followers.

The rows are those that the real chain writes, because every step that decides something is the real one:
translation, aggregates, projections. Only what carries events from one to the next is left out.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Final

from eventsourcing.persistence import Notification
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from application.messages import IncomingMessage
from application.topics import INPUT_TOPICS
from application.translate import Rejection, translate
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.dead_letters import DeadLetter, dead_letter_stream_id
from domain.parking import ParkableStream
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.schema import initialise
from projections.catalogue import PROJECTIONS
from projections.recorded import Recorded
from tests.support.deciding import decide
from tests.support.read_models import emptied, project

RECEIVED_AT: Final = datetime(2026, 3, 9, 12, tzinfo=UTC)
_RECORD: Final = text(
    "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
    " VALUES (:originator_id, :originator_version, :topic, :state)"
)


class Chain:
    """One imaginary RAS: its batches, its log, and the database in which its read models live."""

    def __init__(self, database_url: str) -> None:
        self.aggregates: dict[str, ParkableStream] = {}
        self._database_url = database_url
        self._notification_ids = count(1)
        self._offsets = count()
        self._codec = event_codec()
        initialise(database_url)

    def take(self, messages: Iterable[tuple[str, bytes | None, bytes | None]]) -> list[Recorded]:
        """Take in (topic, key, value) of each message and bring the read models up to date."""
        return self.project(event for message in messages for event in self._decide(*message))

    def tell(self, batch_id: str, events: Iterable[DomainEvent]) -> None:
        """Bring the read models up to date with events that a test has made itself."""
        self.batch(batch_id)
        self.project(events)

    def record(self, events: Iterable[DomainEvent]) -> None:
        """Put `events` into the event store too, for those who read it."""
        rows = [vars(self._codec.to_stored_event(event)) for event in events]
        with connected(self._database_url) as connection:
            if rows:
                connection.execute(_RECORD, rows)

    def batch(self, batch_id: str) -> BatchAggregate:
        """Return a batch, a new one if nothing was heard of it yet."""
        stream_id = batch_stream_id(batch_id)
        batch = self.aggregates.setdefault(stream_id, BatchAggregate(stream_id))
        assert isinstance(batch, BatchAggregate)
        return batch

    def project(self, events: Iterable[DomainEvent]) -> list[Recorded]:
        """Give `events` places in a log and let every projection take them, in one transaction."""
        recorded = [Recorded(next(self._notification_ids), event) for event in events]
        with connected(self._database_url) as connection:
            for projection in PROJECTIONS:
                wanted = [each for each in recorded if isinstance(each.event, projection.events)]
                for statement in projection.statements(wanted):
                    connection.execute(statement.executable, statement.parameters)
        return recorded

    def _decide(self, topic: str, key: bytes | None, value: bytes | None) -> Sequence[DomainEvent]:
        offset = next(self._offsets)
        message = IncomingMessage(topic, 0, offset, int(RECEIVED_AT.timestamp() * 1000), key, value)
        statement = translate(message, received_at=RECEIVED_AT)
        if isinstance(statement, Rejection):
            letter = DeadLetter(dead_letter_stream_id(topic, 0, offset, message.timestamp_ms))
            letter.record(
                reason=statement.reason,
                detail=statement.detail,
                key=None,
                value=None,
                headers=(),
                happened_at=RECEIVED_AT,
                causation=statement.causation,
            )
            return letter.collect_events()
        return decide(statement, self.aggregates)


def stream_file(path: Path) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Yield (topic, key, value) of the messages in a stream file that RAS reads."""
    for line in path.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message["topic"] in INPUT_TOPICS:
            key = message["key"]
            yield message["topic"], None if key is None else key.encode(), _bytes(message["value"])


@contextmanager
def connected(database_url: str) -> Iterator[Connection]:
    """A connection with a transaction around the block."""
    with _engine(database_url).begin() as connection:
        yield connection


@lru_cache(maxsize=4)
def _engine(database_url: str) -> Engine:
    """Return one engine per database: each compiles a statement once, which costs more than it costs to run it."""
    given = {name: str(value) for name, value in conninfo_to_dict(database_url).items() if value is not None}
    return create_engine(URL.create("postgresql+psycopg"), connect_args=given, poolclass=NullPool)


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, dict) and value.keys() == {"raw"}:
        return b64decode(value["raw"])
    if isinstance(value, dict) and value.keys() == {"raw_repeat"}:
        parts = value["raw_repeat"]
        prefix, repeat, suffix = (b64decode(parts[name]) for name in ("prefix", "repeat", "suffix"))
        return prefix + repeat * int(parts["count"]) + suffix
    return json.dumps(value).encode()


def project_store(database_url: str) -> None:
    """Fill the read models of a database again from everything in its event store."""
    codec = event_codec()
    with connected(database_url) as connection:
        emptied(connection)
        rows = connection.execute(
            text(
                "SELECT notification_id AS id, originator_id, originator_version, topic, state"
                " FROM ras.stored_events ORDER BY notification_id"
            )
        ).mappings()
        project(connection, [Recorded(row["id"], codec.to_domain_event(Notification(**row))) for row in rows])
