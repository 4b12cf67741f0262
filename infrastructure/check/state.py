"""The position up to which the last check found everything in order, and the sums at that position."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import orjson
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from infrastructure.check.intake import Counted, Counts
from infrastructure.check.out_topics import Reached

_ANEW: Final = "everything was looked at."


@dataclass(frozen=True, slots=True)
class CheckState:
    """Notification id, messages counted in the events up to it, and how far the out-topics were read."""

    position: int = 0
    counts: Counts = field(default_factory=dict)
    reached: Reached = field(default_factory=Reached)


class _Kept(BaseModel):
    """The state as it is stored."""

    model_config = ConfigDict(strict=True)

    position: NonNegativeInt
    counts: list[tuple[str, int, int, int, int]]
    published: NonNegativeInt
    offsets: list[tuple[str, int, int]]
    not_sent: NonNegativeInt = 0  # a state of before had none


def read_state(connection: Connection[TupleRow], head: int) -> tuple[CheckState, str | None]:
    """Return the state kept, for a log whose last notification id is `head`.

    Where there is none, or none that can be gone on from, it is the beginning of everything; of what was there
    and does not fit, a sentence says why.
    """
    row = connection.execute("SELECT state FROM ras.check_state").fetchone()
    if row is None:
        return CheckState(), None
    try:
        kept = _Kept.model_validate_json(orjson.dumps(row[0]))
    except ValidationError:
        return CheckState(), f"What the last check kept in ras.check_state cannot be read: {_ANEW}"
    if kept.position > head:
        reason = f"The last check went up to event {kept.position}, and the log ends at {head}"
        return CheckState(), f"{reason}: {_ANEW}"
    counts = {(topic, number): Counted(*counts) for topic, number, *counts in kept.counts}
    offsets = {(topic, number): offset for topic, number, offset in kept.offsets}
    return CheckState(kept.position, counts, Reached(kept.published, offsets, kept.not_sent)), None


def write_state(connection: Connection[TupleRow], state: CheckState) -> None:
    """Keep `state` in place of an earlier one."""
    kept = {
        "position": state.position,
        "counts": [[*partition, *counted] for partition, counted in state.counts.items()],
        "published": state.reached.published,
        "not_sent": state.reached.not_sent,
        "offsets": [[*partition, offset] for partition, offset in state.reached.offsets.items()],
    }
    connection.execute(
        "INSERT INTO ras.check_state (only_row, state) VALUES (true, %s) ON CONFLICT (only_row)"
        " DO UPDATE SET state = excluded.state, checked_at = clock_timestamp()",
        (Jsonb(kept),),
    )
