"""The SQL behind the assessment app.

What is passed on as it is (a page of decisions, a published result) is written as JSON by the database, so
that numbers of any size keep their digits. What is computed with comes as rows: for 35,000 decisions a third
of the time that one JSON array of them takes (measured). Times are written in UTC by hand, because `to_json`
writes them in the time zone of the session, and the same position must give the same bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from application.assessments import (
    Asked,
    DecisionPage,
    JobFacts,
    JobSnapshot,
    Outcome,
    PageRequest,
    PairCount,
    PublishedResult,
)
from application.queries import Edition
from application.responses.judging_decisions import PublishedResult as PublishedBody
from infrastructure.queries.read_model_queries import EngineReads, ReadModelQueries, Rows

_GENERATION: Final = "(SELECT generation FROM ras.read_models WHERE name = 'assessments') AS generation"
_JUDGE: Final = "coalesce(nullif(d.judge, ''), d.provider || '/' || d.model)"


def _utc(column: str) -> str:
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


_PAGE: Final = text(f"""
    SELECT j.job_id, j.batch_id, j.position, {_GENERATION}, r.job_id IS NOT NULL AS finished, p.*
    FROM ras_assessments.jobs j
    LEFT JOIN ras_assessments.assessment_results r USING (job_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(json_agg(json_build_object(
            'request_id', d.request_id,
            'outcome', CASE WHEN d.winner IS NULL THEN '{Outcome.FAILED}' ELSE '{Outcome.DECIDED}' END,
            'judge', {_JUDGE},
            'provider', d.provider,
            'model', d.model,
            'essay_a_id', d.essay_a_id,
            'essay_b_id', d.essay_b_id,
            'winner', d.winner,
            'confidence', d.confidence,
            'justification', d.justification,
            'error_code', d.error_code,
            'error', d.error,
            'response_time_ms', d.response_time_ms,
            'prompt_tokens', d.prompt_tokens,
            'completion_tokens', d.completion_tokens,
            'total_tokens', d.total_tokens,
            'cost_usd', d.cost,
            'requested_at', {_utc("d.requested_at")},
            'completed_at', {_utc("d.completed_at")},
            'request_metadata', d.request_metadata,
            'provenance', json_build_object(
                'position', d.position, 'topic', d.topic, 'partition', d.partition, 'offset', d."offset",
                'event_id', d.event_id, 'correlation_id', d.correlation_id,
                'received_at', {_utc("d.received_at")})
            ) ORDER BY d.position) FILTER (WHERE d.place <= :limit), '[]')::text AS decisions,
            max(d.position) FILTER (WHERE d.place <= :limit) AS last, count(*) > :limit AS more
        FROM (
            SELECT l.*, row_number() OVER (ORDER BY l.position) AS place FROM (
                SELECT * FROM ras_assessments.judge_decisions
                WHERE job_id = j.job_id AND position > :after
                    AND (:outcome ::text IS NULL OR (winner IS NULL) = (:outcome = '{Outcome.FAILED}'))
                ORDER BY position LIMIT :limit + 1
            ) l
        ) d
    ) p
    WHERE j.job_id = :job_id
""")
_EDITIONS: Final = text(f"""
    SELECT job_id, position, {_GENERATION} FROM ras_assessments.jobs WHERE batch_id = :batch_id
    ORDER BY position DESC
""")
_HOLD: Final = text(
    "LOCK TABLE ras_assessments.assessment_results, ras_assessments.comparison_matrix, ras_assessments.jobs,"
    " ras_assessments.judge_decisions IN ACCESS SHARE MODE"
)
_FACTS: Final = text(f"""
    SELECT j.batch_id, j.position, r.results::text AS results, r.metadata::text AS metadata, r.assignment_id,
        r.method, r.model_used, r.model_provider, r.model_version, {_utc("r.assessed_at")} AS assessed_at,
        r.topic, r.partition, r."offset", r.event_id, r.position AS result_position
    FROM ras_assessments.jobs j LEFT JOIN ras_assessments.assessment_results r USING (job_id)
    WHERE j.job_id = :job_id
""")
_ASKED: Final = text(f"""
    SELECT {_JUDGE}, d.essay_a_id, d.essay_b_id, d.winner = 'essay_a', d.confidence, d.cost, d.prompt_tokens,
        d.completion_tokens, d.total_tokens, d.response_time_ms
    FROM ras_assessments.judge_decisions d WHERE d.job_id = :job_id ORDER BY d.position
""")
_MATRIX: Final = text("""
    SELECT item_a, item_b, judged, a_wins FROM ras_assessments.comparison_matrix WHERE job_id = :job_id
    ORDER BY item_a, item_b
""")


class _Reader:
    """The questions themselves; who asks the database is for subclasses to say."""

    async def page(self, job_id: str, wanted: PageRequest) -> DecisionPage | None:
        """Return a page of a job's requests, None if no such job is known."""
        rows = await self._rows(_PAGE, job_id=job_id, **wanted._asdict())
        if not rows:
            return None
        row = rows[0]
        return DecisionPage(
            job_id=job_id,
            batch_id=row["batch_id"],
            edition=_edition(row),
            finished=row["finished"],
            decisions=row["decisions"].encode(),
            next_cursor=row["last"] if row["more"] else None,
        )

    async def editions(self, batch_id: str) -> Mapping[str, Edition]:
        """Return the jobs of a batch and the edition of each, the one with the newest event first."""
        return {row["job_id"]: _edition(row) for row in await self._rows(_EDITIONS, batch_id=batch_id)}

    async def _rows(self, query: TextClause, **parameters: Any) -> Rows:
        raise NotImplementedError


class PostgresAssessments(ReadModelQueries, _Reader):
    """The read model of judging jobs. Raises SQLAlchemy's errors when the database is unavailable.

    Give it an engine that prepares no statements: in a snapshot there is no second try with another plan.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(EngineReads(engine).rows)
        self._several = engine.execution_options(isolation_level="REPEATABLE READ")

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[JobSnapshot]:
        """Lend them as they are at the moment of its first question."""
        async with self._several.connect() as connection:
            # A rebuild's switch takes other tables under the same names. Held before the snapshot is taken,
            # which the first query does and LOCK does not, all that is read is of one side.
            await connection.execute(_HOLD)
            yield _Snapshot(connection)


class _Snapshot(_Reader):
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def facts(self, job_id: str) -> JobFacts:
        """Return everything about a job that is known. Raises LookupError for one that is not."""
        rows = await self._rows(_FACTS, job_id=job_id)
        if not rows:
            raise LookupError(f"There is no judging job {job_id}.")
        row = rows[0]
        asked = await self._connection.execute(_ASKED, {"job_id": job_id})
        return JobFacts(
            job_id=job_id,
            batch_id=row["batch_id"],
            position=row["position"],
            result=None if row["results"] is None else _published(row),
            asked=[Asked(*each) for each in asked],
        )

    async def matrix(self, job_id: str) -> Sequence[PairCount]:
        """Return the pairs of a job that were judged, in the order of their names."""
        pairs = await self._connection.execute(_MATRIX, {"job_id": job_id})
        return [PairCount(*pair) for pair in pairs]

    async def _rows(self, query: TextClause, **parameters: Any) -> Rows:
        return (await self._connection.execute(query, parameters)).mappings().all()


def _edition(row: Mapping[str, Any]) -> Edition:
    return Edition(row["generation"], row["position"])


def _published(row: Mapping[str, Any]) -> PublishedResult:
    body: PublishedBody = {
        "method": row["method"],
        "model_used": row["model_used"],
        "model_provider": row["model_provider"],
        "model_version": row["model_version"],
        "assignment_id": row["assignment_id"],
        "assessed_at": row["assessed_at"],
        "results": cast(list[dict[str, Any]], orjson.Fragment(row["results"])),
        "metadata": cast(dict[str, Any], orjson.Fragment(row["metadata"])),
        "provenance": {
            "position": row["result_position"],
            "topic": row["topic"],
            "partition": row["partition"],
            "offset": row["offset"],
            "event_id": row["event_id"],
        },
    }
    return PublishedResult(body, orjson.loads(row["results"]))
