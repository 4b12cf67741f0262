"""The accounts that are taken stream by stream: a fold of the event store = the rows of each read model, and
what was announced = what the facts call for.

A portion of streams is read with everything that belongs to them, page by page, each projection makes its rows
of them in temporary tables, by the same statements that make the live ones, and the database compares. All of it
is one snapshot (REPEATABLE READ), at the position that the projection had in it: the service goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Table, text
from sqlalchemy.exc import OperationalError

from application.conservation import Account, Finding, Report
from domain.assessment import ASSESSMENT_STREAMS
from domain.batch import BATCH_STREAMS
from domain.batch_events import PUBLISHED_EVENTS
from domain.inbox import inbox_stream_id
from domain.language_analysis import ANALYSIS_STREAMS
from domain.notifications import teacher_notification
from infrastructure.check.announcements import Announcements
from infrastructure.check.misplaced_events import Places
from infrastructure.check.paired_results import Counterparts
from infrastructure.check.streams import Page, pages
from infrastructure.eventstore.codec import EventCodec
from infrastructure.eventstore.positions import EVERY, OUTCOME_RULE, projection_position
from infrastructure.postgres.read_models import complaints, versions
from infrastructure.postgres.row_differences import differing_rows
from projections.catalogue import PROJECTIONS
from projections.projection import Projection, schema_of
from projections.recorded import Recorded
from projections.teacher_inbox import notifications, teacher_inbox

_SCRATCH: Final = "pg_temp"
OWNERS: Final[dict[str, tuple[str, str]]] = {
    "batch_results": ("batch_id", BATCH_STREAMS),
    "teacher_inbox": ("batch_id", BATCH_STREAMS),
    "dead_letters": ("stream_id", ""),
    "assessments": ("job_id", ASSESSMENT_STREAMS),
    "language_analyses": ("essay_id", ANALYSIS_STREAMS),
}
"""For each projection the column that says whose a row is, and what makes a stream's id of it."""


_LACKING: Final = text("""
    SELECT to_regclass(:live) IS NULL, array(
        SELECT s.attname::text FROM pg_attribute s
        WHERE s.attrelid = to_regclass(:scratch) AND s.attnum > 0 AND NOT EXISTS (
            SELECT FROM pg_attribute l WHERE l.attrelid = to_regclass(:live) AND l.attnum > 0
            AND l.attname = s.attname AND l.atttypid = s.atttypid) ORDER BY s.attnum)
""")


class Model(NamedTuple):
    """A table of a read model."""

    projection: Projection
    table: Table

    @property
    def live(self) -> str:
        """The name of the live table, for SQL."""
        return f'{schema_of(self.projection.name)}."{self.table.name}"'


def scratch_tables(connection: Connection) -> Connection:
    """Make empty temporary tables like those of every read model and return a connection that writes to them."""
    here = connection.execution_options(
        schema_translate_map={schema_of(projection.name): _SCRATCH for projection in PROJECTIONS}
    )
    for projection in PROJECTIONS:
        projection.metadata.create_all(here, checkfirst=False)
    return here


def usable(connection: Connection) -> tuple[list[Model], list[Finding]]:
    """Return the tables that can be compared, and what is wrong with the others. Needs the scratch tables."""
    unfit = complaints(versions(connection))
    findings = [Finding("read models", name, sentence) for name, sentence in unfit.items()]
    models = []
    for projection in PROJECTIONS:
        if projection.name in unfit:
            continue
        for table in projection.metadata.sorted_tables:
            names = {"live": f'{schema_of(projection.name)}."{table.name}"', "scratch": _scratch(table)}
            is_gone, lacking = connection.execute(_LACKING, names).one()
            if not lacking:
                models.append(Model(projection, table))
                continue
            what = (
                "This table is gone"
                if is_gone
                else f"Columns are gone or of another type: {', '.join(lacking)}"
            )
            detail = f"{what}. Run `ras rebuild {projection.name} --accept-differences`."
            findings.append(Finding("read models", f"{projection.name}.{table.name}", detail))
    return models, findings


def hold_sides(connection: Connection, models: Sequence[Model]) -> None:
    """Keep a rebuild from switching sides until the transaction ends.

    To be called first in a transaction: LOCK TABLE takes no snapshot, so the snapshot that follows is of the
    side whose position stands in it. The other way round, rows could be those of a side that was still being
    filled when the snapshot was taken.
    """
    if models:
        names = ", ".join(model.live for model in models)
        connection.execute(text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))


def _scratch(table: Table) -> str:
    return f'{_SCRATCH}."{table.name}"'


class ReadModelCheck:
    """Compares portions of streams with the rows that are theirs."""

    def __init__(self, codec: EventCodec, models: Sequence[Model]) -> None:
        self._codec = codec
        self._models = models
        self._expected: dict[str, int] = {}
        self._found: dict[str, int] = {}

    def portion(self, connection: Connection, scratch: Connection, some: Sequence[str]) -> Iterator[Finding]:
        """Yield what does not fit of the streams `some`. Within one transaction that sees one snapshot."""
        positions = {name: int(position) for name, position, _ in connection.execute(text(EVERY))}
        reached = {p.name: positions.get(projection_position(p.name), 0) for p in PROJECTIONS}
        for projection in PROJECTIONS:
            for table in projection.metadata.sorted_tables:
                scratch.execute(text(f"TRUNCATE {_scratch(table)}"))
        announcements = Announcements(positions.get(OUTCOME_RULE, 0))
        counterparts, places = Counterparts(self._codec), Places()
        for page in pages(connection, self._codec, some):
            yield from unreadable(page)
            yield from announcements.take(page)
            yield from places.take(page)
            counterparts.take(page)
            yield from _folded(scratch, page.recorded, reached)
            for marks in pages(connection, self._codec, _marks(page.recorded)):
                yield from _folded(scratch, marks.recorded, reached)
        yield from announcements.end()
        yield from counterparts.end(connection)
        if any(model.table is notifications for model in self._models):
            yield from places.end(connection, reached[teacher_inbox.name])
        for model in self._models:
            column, prefix = OWNERS[model.projection.name]
            owners = [s.removeprefix(prefix) for s in some if s.startswith(prefix)]
            yield from self._compared(connection, model, column, owners)

    def accounts(self, report: Report) -> None:
        """Add the account of each table."""
        for name, expected in self._expected.items():
            report.accounts.append(Account(name, expected, self._found[name], "rows"))

    def _compared(
        self, connection: Connection, model: Model, column: str, owners: list[str]
    ) -> Iterator[Finding]:
        table, live, scratch = model.table, model.live, _scratch(model.table)
        parameters = {"owners": owners}
        name = f"{model.projection.name}.{table.name}"
        expected, found = connection.execute(
            text(
                f"SELECT (SELECT count(*) FROM {scratch}),"
                f" (SELECT count(*) FROM {live} WHERE {column} = ANY(:owners))"
            ),
            parameters,
        ).one()
        self._expected[name] = self._expected.get(name, 0) + expected
        self._found[name] = self._found.get(name, 0) + found
        theirs = f"(SELECT * FROM {live} WHERE {column} = ANY(:owners))"
        for row in differing_rows(connection, table, theirs, scratch, limit=1001, parameters=parameters):
            place = ", ".join(f"{k}={v}" for k, v in row.key.items())
            if not row.is_left:
                detail = "This row is missing: events say that it should be there."
            elif not row.is_right:
                detail = "This row is there, and no event says that it should be."
            else:
                detail = f"This row differs from what the events say, in {', '.join(row.columns)}."
            yield Finding(f"read model {name}", place, detail)


def unreadable(page: Page) -> Iterator[Finding]:
    """Yield the events of a page that cannot be decoded."""
    for error in page.unreadable:
        detail = f"This event cannot be read: {error.reason}."
        yield Finding("event store", f"{error.stream_id}/{error.version}", detail)


def _marks(recorded: Sequence[Recorded]) -> list[str]:
    """Return the streams that tell whether the notifications sent by `recorded` were read."""
    return [
        inbox_stream_id(UUID(teacher_notification(each.event).event_id))
        for each in recorded
        if isinstance(each.event, PUBLISHED_EVENTS)
    ]


def _folded(
    scratch: Connection, recorded: Sequence[Recorded], reached: Mapping[str, int]
) -> Iterator[Finding]:
    """Bring the scratch tables up to date with `recorded`, as far as each projection has come."""
    for projection in PROJECTIONS:
        wanted = [
            each
            for each in recorded
            if each.notification_id <= reached[projection.name] and isinstance(each.event, projection.events)
        ]
        if wanted:
            yield from _projected(scratch, projection, wanted)


def _projected(scratch: Connection, projection: Projection, wanted: Sequence[Recorded]) -> Iterator[Finding]:
    """Have `projection` make its rows of `wanted`; an event that it cannot take is a finding."""
    try:
        with scratch.begin_nested():
            for statement in projection.statements(wanted):
                scratch.execute(statement.executable, statement.parameters)
    except OperationalError:
        raise  # the database is unavailable: nothing is known of the events
    except Exception as error:  # noqa: BLE001 - whatever our own code stumbles over, the others can be checked
        if len(wanted) > 1:
            middle = len(wanted) // 2
            yield from _projected(scratch, projection, wanted[:middle])
            yield from _projected(scratch, projection, wanted[middle:])
            return
        event = wanted[0].event
        detail = f"The read model {projection.name} cannot take this event: {type(error).__name__}."
        yield Finding("event store", f"{event.originator_id}/{event.originator_version}", detail)


def orphans(connection: Connection, models: Sequence[Model]) -> Iterator[Finding]:
    """Yield the rows of which no stream is known at all."""
    for model in models:
        projection, table = model
        column, prefix = OWNERS[projection.name]
        keys = ", ".join(f'"{c.name}"::text' for c in table.primary_key)
        query = f"""
            SELECT {keys} FROM {model.live} r WHERE NOT EXISTS (
                SELECT FROM ras.stored_events e WHERE e.originator_id = :prefix || r."{column}") LIMIT 1001
        """
        for key in connection.execute(text(query), {"prefix": prefix}):
            place = ", ".join(f"{c.name}={v}" for c, v in zip(table.primary_key, key, strict=True))
            yield Finding(
                f"read model {projection.name}.{table.name}",
                place,
                "This row is there, and its stream is not in the event store.",
            )
