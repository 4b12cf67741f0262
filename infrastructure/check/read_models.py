"""The accounts that are taken stream by stream: a fold of the event store = the rows of each read model, and
what was announced = what the facts call for.

A portion of streams is read with everything that belongs to them, each projection makes its rows of
them in temporary tables, by the same statements that make the live ones, and the database compares. All of it
is one snapshot (REPEATABLE READ), at the position that the projection had in it: the service goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Table, text

from application.conservation import Account, Finding, Report
from domain.aggregate import DomainEvent
from domain.announcement_check import check_announcements
from domain.batch import batch_stream_id
from domain.batch_events import PUBLISHED_EVENTS
from domain.inbox import inbox_stream_id
from domain.notifications import teacher_notification
from infrastructure.eventstore.codec import EventCodec, StoredRow
from infrastructure.eventstore.positions import projection_position
from projections.catalogue import PROJECTIONS
from projections.projection import Projection, schema_of
from projections.recorded import Recorded

STREAMS_AT_A_TIME: Final = 200
_SCRATCH: Final = "pg_temp"
_BATCH: Final = batch_stream_id("")

OWNERS: Final[dict[str, tuple[str, str]]] = {
    "batch_results": ("batch_id", _BATCH),
    "teacher_inbox": ("batch_id", _BATCH),
    "dead_letters": ("stream_id", ""),
    "assessments": ("job_id", "assessment-"),
}
"""For each projection the column that says whose a row is, and what makes a stream's id of it."""

_LOAD: Final = text("""
    SELECT notification_id, originator_id, originator_version, topic, state FROM ras.stored_events
    WHERE originator_id = ANY(:streams) ORDER BY notification_id
""")


def scratch_tables(connection: Connection) -> Connection:
    """Make empty temporary tables like those of every read model and return a connection that writes to them."""
    here = connection.execution_options(
        schema_translate_map={schema_of(projection.name): _SCRATCH for projection in PROJECTIONS}
    )
    for projection in PROJECTIONS:
        projection.metadata.create_all(here, checkfirst=False)
    return here


def hold_sides(connection: Connection) -> None:
    """Keep a rebuild from switching sides until the transaction ends.

    To be called first in a transaction: LOCK TABLE takes no snapshot, so the snapshot that follows is of the
    side whose position stands in it. The other way round, rows could be those of a side that was still being
    filled when the snapshot was taken.
    """
    quote = connection.dialect.identifier_preparer.quote
    tables = (table for projection in PROJECTIONS for table in projection.metadata.sorted_tables)
    names = ", ".join(f"{quote(str(table.schema))}.{quote(table.name)}" for table in tables)
    connection.execute(text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))


def streams(connection: Connection, since: int, to: int, after: str) -> list[str]:
    """Return the next streams after `after`, in order of id, that have grown since `since` (0: all)."""
    grown = (
        "SELECT DISTINCT originator_id FROM ras.stored_events WHERE originator_id > :after"
        " AND notification_id > :since AND notification_id <= :to ORDER BY originator_id LIMIT :limit"
    )
    parameters = {"after": after, "since": since, "to": to, "limit": STREAMS_AT_A_TIME}
    return list(connection.execute(text(grown), parameters).scalars())


class ReadModelCheck:
    """Compares portions of streams with the rows that are theirs."""

    def __init__(self, codec: EventCodec) -> None:
        self._codec = codec
        self._expected: dict[str, int] = {}
        self._found: dict[str, int] = {}

    def portion(self, connection: Connection, scratch: Connection, some: Sequence[str]) -> list[Finding]:
        """Return what does not fit of the streams `some`. Within one transaction that sees one snapshot."""
        positions = {
            name: int(position)
            for name, position in connection.execute(text("SELECT name, position FROM ras.positions"))
        }
        reached = {p.name: positions.get(projection_position(p.name), 0) for p in PROJECTIONS}
        recorded = self._load(connection, some)
        findings = list(_announcements(recorded))
        for projection in PROJECTIONS:
            wanted = [
                each
                for each in recorded
                if each.notification_id <= reached[projection.name]
                and isinstance(each.event, projection.events)
            ]
            column, prefix = OWNERS[projection.name]
            owners = [s.removeprefix(prefix) for s in some if s.startswith(prefix)]
            for table in projection.metadata.sorted_tables:
                scratch.execute(text(f'TRUNCATE {_SCRATCH}."{table.name}"'))
            for statement in projection.statements(wanted):
                scratch.execute(statement.executable, statement.parameters)
            for table in projection.metadata.sorted_tables:
                findings += self._compared(connection, projection, table, column, owners)
        return findings

    def accounts(self, report: Report) -> None:
        """Add the account of each table."""
        for name, expected in self._expected.items():
            report.accounts.append(Account(name, expected, self._found[name], "rows"))

    def _load(self, connection: Connection, some: Sequence[str]) -> list[Recorded]:
        recorded = self._events(connection, some)
        marks = [
            inbox_stream_id(UUID(teacher_notification(each.event).event_id))
            for each in recorded
            if isinstance(each.event, PUBLISHED_EVENTS)
        ]
        recorded += self._events(connection, marks)
        return sorted(recorded, key=lambda each: each.notification_id)

    def _events(self, connection: Connection, some: Sequence[str]) -> list[Recorded]:
        rows = connection.execute(_LOAD, {"streams": list(some)}) if some else ()
        return [Recorded(row[0], self._codec.to_domain_event(StoredRow(*row))) for row in rows]

    def _compared(
        self, connection: Connection, projection: Projection, table: Table, column: str, owners: list[str]
    ) -> Iterator[Finding]:
        live = f'{schema_of(projection.name)}."{table.name}"'
        keys = [c.name for c in table.primary_key]
        names = [c.name for c in table.columns]
        parameters = {"owners": owners}
        name = f"{projection.name}.{table.name}"
        expected, found = connection.execute(
            text(
                f'SELECT (SELECT count(*) FROM {_SCRATCH}."{table.name}"),'
                f" (SELECT count(*) FROM {live} WHERE {column} = ANY(:owners))"
            ),
            parameters,
        ).one()
        self._expected[name] = self._expected.get(name, 0) + expected
        self._found[name] = self._found.get(name, 0) + found
        differing = ", ".join(f"""CASE WHEN l."{n}" IS DISTINCT FROM t."{n}" THEN '{n}' END""" for n in names)
        query = f"""
            SELECT {", ".join(f'coalesce(l."{key}"::text, t."{key}"::text)' for key in keys)},
                l."{keys[0]}" IS NULL, t."{keys[0]}" IS NULL, array_remove(ARRAY[{differing}], NULL)
            FROM (SELECT * FROM {live} WHERE {column} = ANY(:owners)) l
            FULL JOIN {_SCRATCH}."{table.name}" t
                ON {" AND ".join(f'l."{key}" = t."{key}"' for key in keys)}
            WHERE ({", ".join(f'l."{n}"' for n in names)}) IS DISTINCT FROM ({", ".join(f't."{n}"' for n in names)})
            LIMIT 1001
        """
        for *key, is_missing, is_extra, columns in connection.execute(text(query), parameters):
            place = ", ".join(f"{k}={v}" for k, v in zip(keys, key, strict=True))
            if is_missing:
                detail = "This row is missing: events say that it should be there."
            elif is_extra:
                detail = "This row is there, and no event says that it should be."
            else:
                detail = f"This row differs from what the events say, in {', '.join(columns)}."
            yield Finding(f"read model {name}", place, detail)


def _announcements(recorded: Sequence[Recorded]) -> Iterator[Finding]:
    """Yield the batches whose announcements are not those that their facts call for."""
    batches: dict[str, list[DomainEvent]] = {}
    for each in recorded:
        if each.event.originator_id.startswith(_BATCH):
            batches.setdefault(each.event.originator_id, []).append(each.event)
    for stream_id, events in batches.items():
        for found in check_announcements(stream_id, events):
            yield Finding("announcements", f"{found.stream_id}/{found.version}", found.detail)


def orphans(connection: Connection) -> Iterator[Finding]:
    """Yield the rows of which no stream is known at all."""
    for projection in PROJECTIONS:
        column, prefix = OWNERS[projection.name]
        for table in projection.metadata.sorted_tables:
            keys = ", ".join(f'"{c.name}"::text' for c in table.primary_key)
            query = f"""
                SELECT {keys} FROM {schema_of(projection.name)}."{table.name}" r WHERE NOT EXISTS (
                    SELECT FROM ras.stored_events e WHERE e.originator_id = :prefix || r."{column}") LIMIT 1001
            """
            for key in connection.execute(text(query), {"prefix": prefix}):
                place = ", ".join(f"{c.name}={v}" for c, v in zip(table.primary_key, key, strict=True))
                yield Finding(
                    f"read model {projection.name}.{table.name}",
                    place,
                    "This row is there, and its stream is not in the event store.",
                )
