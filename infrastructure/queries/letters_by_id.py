"""Dead letters that carry an id. No index knows the ids of a broken message, so bytes are searched, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from application.carried_ids import carries_any
from application.queries import LetterFilter

MOST_LETTERS: Final = 2_000
MOST_BYTES: Final = 16_000_000

_ESSAYS: Final = "SELECT essay_id FROM ras_batch_results.essays WHERE batch_id = %(batch)s"


class Found(NamedTuple):
    """Positions of letters that carry the ids, newest first; letters at `searched_to` and later were looked at."""

    positions: list[int]
    searched_to: int | None


async def carriers(
    rows: Callable[..., Awaitable[Sequence[Any]]],
    candidates: str,
    wanted: LetterFilter,
    *,
    before: int | None,
) -> Found:
    """Search the newest letters before `before` that fit the condition `candidates`.

    `searched_to` is None where all were looked at, else where the next search goes on.
    """
    sets: list[frozenset[str]] = []
    if wanted.batch is not None:
        essays = await rows(_ESSAYS, batch=wanted.batch)
        sets.append(frozenset((wanted.batch, *(row["essay_id"] for row in essays))))
    if wanted.essay is not None:
        sets.append(frozenset((wanted.essay,)))
    searched = await rows(
        f"""
        SELECT position, key, value, bytes FROM (
            SELECT position, key, value, sum(coalesce(octet_length(value), 0)) OVER (ORDER BY position DESC) AS bytes
            FROM ras_dead_letters.letters
            WHERE {candidates}
                AND (%(state)s ::text IS NULL OR state = %(state)s)
                AND (%(before)s ::bigint IS NULL OR position < %(before)s)
            ORDER BY position DESC LIMIT %(most)s
        ) x WHERE bytes - coalesce(octet_length(value), 0) < %(most_bytes)s
        ORDER BY position DESC
        """,
        **{**asdict(wanted), "positions": None},
        before=before,
        most=MOST_LETTERS,
        most_bytes=MOST_BYTES,
    )
    positions = await asyncio.to_thread(_fitting, searched, sets)
    stopped = len(searched) == MOST_LETTERS or (searched and searched[-1]["bytes"] >= MOST_BYTES)
    return Found(positions, searched[-1]["position"] if stopped else None)


def _fitting(letters: Sequence[Mapping[str, Any]], sets: Sequence[frozenset[str]]) -> list[int]:
    return [
        letter["position"]
        for letter in letters
        if all(carries_any(ids, letter["key"], letter["value"]) for ids in sets)
    ]
