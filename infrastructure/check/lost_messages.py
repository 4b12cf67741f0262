"""Names the messages whose events are missing, where the counts of a topic-partition show that some are.

What was ingested lies below the position. A message there for which no event stands was a repeat, or its event
is gone. Repeats are counted and not named, so names can be told where there are as many to choose from as there
should be: not where offsets were never messages, and not in a topic that was started again in Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from application.conservation import Finding
from infrastructure.check.intake import MESSAGES, Counted, Counts, parameters_of
from infrastructure.eventstore.positions import all_ingested_of

_MOST_NAMED: Final = 20
_COUNTED: Final = (
    "SELECT topic, partition, repeated, recorded + dead_lettered + parked FROM ras.intake_counts"
    " ORDER BY topic, partition"
)
_WITHOUT_EVENT: Final = (
    MESSAGES
    + f"""
    SELECT here FROM generate_series(0, {all_ingested_of("%(name)s")}) AS here
    WHERE NOT EXISTS (SELECT FROM told t
            WHERE t.topic = %(topic)s AND t.partition = %(partition)s AND t."offset" = here)
        AND NOT EXISTS (SELECT FROM ras.log_beginnings WHERE name = %(name)s)
    ORDER BY here LIMIT %(most)s
"""
)


def unaccounted(connection: Connection[TupleRow], to: int, counts: Counts) -> Iterator[Finding]:
    """Yield the messages whose events are gone from the log up to the notification id `to`, which `counts` counts."""
    for topic, partition, repeated, counted in connection.execute(_COUNTED).fetchall():
        lost = counted - sum(counts.get((topic, partition), Counted()))
        if lost <= 0 or lost + repeated > _MOST_NAMED:
            continue
        place = {"topic": topic, "partition": partition, "name": f"intake/{topic}/{partition}"}
        parameters = parameters_of(0, to) | place | {"most": lost + repeated + 1}
        offsets = [offset for (offset,) in connection.execute(_WITHOUT_EVENT, parameters)]
        if len(offsets) != lost + repeated:
            continue
        detail = "What was recorded of this message is gone."
        if repeated:
            detail = (
                f"No event stands for this message: what was recorded of it is gone, or it is one of the {repeated} repeats "
                f"among these {len(offsets)} messages."
            )
        for offset in offsets:
            yield Finding("intake", f"{topic}/{partition}/{offset}", detail)
