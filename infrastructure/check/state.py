"""Up to where everything was in order at the last check, and the sums by then."""

from __future__ import annotations

from dataclasses import dataclass, field

from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from infrastructure.check.intake import Counted, Counts
from infrastructure.check.out_topics import Reached


@dataclass(frozen=True, slots=True)
class CheckState:
    """Notification id, messages counted in the events up to it, and how far the out-topics were read."""

    position: int = 0
    counts: Counts = field(default_factory=dict)
    reached: Reached = field(default_factory=Reached)


def read_state(connection: Connection[TupleRow]) -> CheckState:
    """Return the state kept, the beginning of everything if there is none."""
    row = connection.execute("SELECT state FROM ras.check_state").fetchone()
    if row is None:
        return CheckState()
    kept = row[0]
    return CheckState(
        kept["position"],
        {(topic, number): Counted(*counts) for topic, number, *counts in kept["counts"]},
        Reached(kept["published"], {(topic, number): offset for topic, number, offset in kept["offsets"]}),
    )


def write_state(connection: Connection[TupleRow], state: CheckState) -> None:
    """Keep `state` in place of an earlier one."""
    kept = {
        "position": state.position,
        "counts": [[*partition, *counted] for partition, counted in state.counts.items()],
        "published": state.reached.published,
        "offsets": [[*partition, offset] for partition, offset in state.reached.offsets.items()],
    }
    connection.execute(
        "INSERT INTO ras.check_state (only_row, state) VALUES (true, %s) ON CONFLICT (only_row)"
        " DO UPDATE SET state = excluded.state, checked_at = clock_timestamp()",
        (Jsonb(kept),),
    )
