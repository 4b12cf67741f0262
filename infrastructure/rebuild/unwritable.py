"""Finds the event that PostgreSQL refuses, within a stretch of the log that failed as a whole."""

from __future__ import annotations

from infrastructure.eventstore.unwritable import UnwritableEventError
from infrastructure.postgres.rows import encoded
from infrastructure.rebuild.filling import LogReader, write
from infrastructure.rebuild.session import RebuildError, RefusedStretchError, writer_session
from projections.projection import Statement


def named(database_url: str, log: LogReader, refused: RefusedStretchError) -> RebuildError:
    """Return the error that names the event. Whatever is before it in the stretch is written."""
    side = refused.side
    projection = side.projection
    with writer_session(database_url) as connection:
        for rows in log.chunks(side.position, refused.to):
            events = [each for each in map(log.decoded, rows) if isinstance(each.event, projection.events)]
            limit = len(events)
            while events:
                part = events[:limit]
                statements = [
                    Statement(s.executable, encoded(s.parameters)) for s in projection.statements(part)
                ]
                try:
                    side = write(connection, side, statements, part[-1].notification_id)
                except RefusedStretchError as error:
                    if len(part) == 1:
                        found = UnwritableEventError(part[0].event, projection.name, error.reason)
                        return RebuildError(
                            f"{found.sentence} Nothing was switched. Report it, and run a release of RAS that "
                            "writes it: what was built up to here is kept."
                        )
                    limit = len(part) // 2
                else:
                    events = events[limit:]
    return RebuildError(f"{projection.name} could not be written: {refused.reason}. Nothing was switched.")
