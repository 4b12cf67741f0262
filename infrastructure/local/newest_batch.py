"""The batch that is shown first to somebody on this machine: the one registered last."""

from __future__ import annotations

from typing import Final, NamedTuple

import psycopg

_NEWEST: Final = """
    SELECT batch_id, user_id, (SELECT min(essay_id) FROM ras_batch_results.essays e WHERE e.batch_id = b.batch_id)
    FROM ras_batch_results.batches b
    WHERE user_id IS NOT NULL
    ORDER BY registered_at DESC NULLS LAST
    LIMIT 1
"""


class NewestBatch(NamedTuple):
    """Ids to try requests with; words in their place where nothing is registered."""

    batch: str = "BATCH"
    teacher: str = "teacher-0001"
    essay: str = "ESSAY"


def newest_batch(database_url: str) -> NewestBatch:
    """Return the batch registered last, its teacher and one of its essays."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(_NEWEST).fetchone()
    if row is None:
        return NewestBatch()
    batch, teacher, essay = row
    return NewestBatch(batch, teacher, essay or NewestBatch().essay)
