"""Whose a batch, an essay or a judging job is."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import text

from infrastructure.queries.read_model_queries import ReadModelQueries

_BATCH: Final = """
    SELECT count(*) AS mine FROM ras_batch_results.batches WHERE batch_id = %(id)s AND user_id = %(teacher)s
"""
# An essay may be in several batches, and which of them an answer shows is for the answer to decide.
_ESSAY: Final = """
    SELECT count(*) > 0 AND bool_and(b.user_id IS NOT DISTINCT FROM %(teacher)s) AS mine
    FROM ras_batch_results.essays e JOIN ras_batch_results.batches b USING (batch_id)
    WHERE e.essay_id = %(id)s
"""
_JOB: Final = """
    SELECT count(*) AS mine FROM ras_assessments.jobs j JOIN ras_batch_results.batches b USING (batch_id)
    WHERE j.job_id = %(id)s AND b.user_id = %(teacher)s
"""
_QUERIES: Final = {"batch_id": _BATCH, "essay_id": _ESSAY, "job_id": _JOB}


class Ownership(ReadModelQueries):
    """Asks the read models, over psycopg."""

    async def is_of(self, teacher: str, kind: str, name: str) -> bool:
        """Whether the batch, essay or job (`kind`: `batch_id`, …) is known and the teacher's alone."""
        [row] = await self._rows(self._written(_QUERIES[kind]), id=name, teacher=teacher)
        return bool(row["mine"])

    def _written(self, query: str) -> Any:
        return query


class OwnershipOverEngine(Ownership):
    """Asks over SQLAlchemy."""

    def _written(self, query: str) -> Any:
        return text(re.sub(r"%\((\w+)\)s", r":\1", query))
