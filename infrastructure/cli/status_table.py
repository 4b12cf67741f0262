"""The table of `ras status`: the verdict, then trouble, then one line per topic, publisher and read model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group
from rich.padding import Padding
from rich.table import Table

from infrastructure.operations.progress import Progress

HEADINGS: Final = (
    "role",
    "source",
    "position",
    "head",
    "lag",
    "lag s",
    "per s",
    "condition",
    "moved",
    "error",
)
_WELL: Final = {None, "ok", "starting"}
_MOST_TROUBLE: Final = 4
"""Lines of trouble on a terminal: the topics below them still fit in 24 lines."""


def shown(rows: Sequence[Progress], faults: Sequence[str]) -> Group:
    """Return it for a terminal: partitions of a topic share a line, and those in trouble are named above."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("role", "source"):
        table.add_column(heading, overflow="fold")
    for heading in ("parts", "lag", "lag s", "per s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in _groups(rows):
        table.add_row(*_line(group))
    lines = list(_trouble(rows, faults))
    if len(lines) > _MOST_TROUBLE:
        lines[_MOST_TROUBLE:] = [f"… and {len(lines) - _MOST_TROUBLE:,} more; --wide shows all."]
    trouble = [Padding(line, (0, 0, 0, 2)) for line in lines]
    return Group(_verdict(rows, faults), *trouble, table)


def plain_rows(rows: Sequence[Progress]) -> list[list[str]]:
    """Return every row with everything known, for a pipe."""
    return [
        [
            *(row.role, row.source),
            *map(_number, (row.position, row.head, row.lag, row.lag_seconds, row.per_second)),
            row.condition or "",
            row.updated_at or "",
            "" if row.last_error is None else f"{row.last_error_at} {row.last_error}",
        ]
        for row in rows
    ]


def verdict_lines(rows: Sequence[Progress], faults: Sequence[str]) -> list[str]:
    """Return the verdict and the trouble, a line each."""
    return [_verdict(rows, faults), *_trouble(rows, faults)]


def _verdict(rows: Sequence[Progress], faults: Sequence[str]) -> str:
    troubled = sum(not _is_well(row) for row in rows)
    if troubled or faults:
        number = troubled + len(faults)
        return f"Trouble: {number} thing{'' if number == 1 else 's'} to look at."
    unknown = [row for row in rows if row.condition is None]
    if unknown and len(unknown) == len(rows):
        return "No role has reported yet: start RAS (`ras up`, or the roles)."
    starting = sum(row.condition == "starting" for row in rows)
    if starting:
        return f"Starting: {starting} of {len(rows)} readers are not ready yet."
    behind = sum(row.lag or 0 for row in rows)
    if behind:
        return f"Well: {behind:,} messages and events are still to be handled."
    return "Well: everything is handled."


def _trouble(rows: Sequence[Progress], faults: Sequence[str]) -> Iterator[str]:
    yield from faults
    same: dict[tuple[str, str | None, str | None], list[Progress]] = {}
    for row in rows:
        if not _is_well(row):
            same.setdefault((row.role, row.condition, row.last_error), []).append(row)
    for (role, condition, error), those in same.items():
        names = those[0].source
        if len(those) > 1:
            names = ", ".join(dict.fromkeys(map(_topic, those)))
        since = f" (last error {those[0].last_error_at})" if error else ""
        parts = f", {len(those)} partitions" if role == "ingest" and len(those) > 1 else ""
        yield f"{role} {names}{parts}: {condition}{f': {error}' if error else ''}{since}"


def _is_well(row: Progress) -> bool:
    return row.condition in _WELL or (row.role == "rebuild" and row.condition != "interrupted")


def _groups(rows: Sequence[Progress]) -> Iterator[list[Progress]]:
    groups: dict[tuple[str, str], list[Progress]] = {}
    for row in rows:
        groups.setdefault((row.role, _topic(row)), []).append(row)
    yield from groups.values()


def _topic(row: Progress) -> str:
    return row.source.rpartition("/")[0] or row.source if row.role == "ingest" else row.source


def _line(group: Sequence[Progress]) -> Iterator[str]:
    yield group[0].role
    yield f"{group[0].source}: {group[0].condition}" if group[0].role == "rebuild" else _topic(group[0])
    yield str(len(group)) if group[0].role == "ingest" and group[0].position is not None else ""
    for numbers, join in (
        ([row.lag for row in group], sum),
        ([row.lag_seconds for row in group], max),
        ([row.per_second for row in group], sum),
    ):
        known = [number for number in numbers if number is not None]
        yield _number(join(known)) if len(known) == len(group) else ""


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:g}" if isinstance(number, float) else str(number)
