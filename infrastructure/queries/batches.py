"""The SQL behind the queries: what follows from the stored facts is derived here, and only here.

`standing` restates `domain/completion.py` on rows: the first required phase in which an essay did not
succeed decides. A property test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final
from uuid import UUID

from application.batch_status import batch_status
from application.queries import Answer, Edition, LetterFilter
from application.responses.batches import BatchStatus, EssayAnalysis, UserBatches
from application.responses.dead_letters import DeadLetter, DeadLetterPage, Parked
from application.responses.inbox import Notifications
from domain.dead_letters import LetterState
from infrastructure.queries.bodies import (
    dead_letter_body,
    dead_letter_summary,
    essay_body,
    notification_body,
    parked_stream,
    written,
)
from infrastructure.queries.letters_by_id import Found, carriers
from infrastructure.queries.read_model_queries import ReadModelQueries

_STATUS: Final = """
    CASE
        WHEN b.overall_status IS NOT NULL THEN b.overall_status
        WHEN b.processing_started_at IS NOT NULL THEN 'processing_pipelines'
        WHEN (SELECT bool_and(x.file_upload_id IS NOT NULL) FROM ras_batch_results.essays x
              WHERE x.batch_id = b.batch_id AND x.ordinal IS NOT NULL) THEN 'ready_for_pipeline_execution'
        ELSE 'awaiting_content_validation'
    END
"""
_ESSAYS: Final = """
    SELECT x.*, r.rank, r.bt_score, r.normalized_score, r.letter_grade, r.confidence_score, r.confidence_label,
        r.job_id, greatest(x.last_updated, r.assessed_at) AS changed_at,
        CASE WHEN r.rank IS NOT NULL THEN 'completed'
             WHEN b.assessed_at IS NULL OR x.spellcheck_status = 'failed' OR EXISTS (
                 SELECT FROM ras_batch_results.phases p WHERE p.batch_id = x.batch_id
                     AND p.phase IN ('student_matching', 'nlp') AND p.failed_essay_ids ? x.essay_id) THEN NULL
             ELSE 'failed'
        END AS cj_status,
        CASE
            WHEN x.essay_id = ANY (b.unmatched) THEN 'failed'
            WHEN b.required ? 'spellcheck' AND x.spellcheck_status IS NULL THEN 'pending'
            WHEN b.required ? 'spellcheck' AND x.spellcheck_status = 'failed' THEN 'failed'
            WHEN x.essay_id = ANY (b.unanalysed) THEN 'failed'
            WHEN b.required ? 'cj_assessment' AND b.assessed_at IS NULL THEN 'pending'
            WHEN b.required ? 'cj_assessment' AND r.rank IS NULL THEN 'failed'
            WHEN x.essay_id = ANY (b.failed_later) THEN 'failed'
            ELSE 'completed'
        END AS standing
    FROM ras_batch_results.essays x
    LEFT JOIN ras_batch_results.rankings r ON r.batch_id = x.batch_id AND r.essay_id = x.essay_id
    WHERE x.batch_id = b.batch_id AND x.ordinal IS NOT NULL
"""
_SUMMARY: Final = f"""
    SELECT b.*, s.* FROM b LEFT JOIN LATERAL (
        SELECT count(*) AS total,
            count(*) FILTER (WHERE e.standing = 'completed') AS completed,
            count(*) FILTER (WHERE e.standing = 'failed') AS failed,
            count(e.spellcheck_status) AS spellchecked,
            coalesce(json_agg(json_build_object(
                'essay_id', e.essay_id,
                'filename', e.file_name,
                'file_upload_id', e.file_upload_id,
                'spellcheck_status', e.spellcheck_status,
                'spellcheck_correction_count', e.spellcheck_corrections,
                'spellcheck_corrected_text_storage_id', e.spellcheck_corrected_text_id,
                'spellcheck_error_detail', e.spellcheck_error,
                'cj_assessment_status', e.cj_status,
                'cj_rank', e.rank,
                'cj_score', e.bt_score,
                'cj_assessment_error_detail', CASE WHEN e.cj_status = 'failed' THEN json_build_object(
                    'error_code', 'PROCESSING_ERROR',
                    'message', 'The assessment has no result for this essay.',
                    'service', 'result_aggregator_service',
                    'operation', 'cj_assessment',
                    'timestamp', b.assessed_at,
                    'correlation_id', NULL,
                    'details', json_build_object('cj_assessment_job_id', b.assessment_job_id)) END,
                'last_updated', e.changed_at AT TIME ZONE 'UTC'
            ) ORDER BY e.ordinal), '[]')::text AS essays
        FROM ({_ESSAYS} OFFSET 0) e -- OFFSET 0: each standing is worked out once
    ) s ON true
"""
_REQUIRED: Final = """
    CROSS JOIN LATERAL (
        SELECT CASE WHEN b.completed_phases IS NULL OR b.completed_phases = '[]'
            THEN '["spellcheck", "cj_assessment"]'::jsonb ELSE b.completed_phases END AS required
    ) q CROSS JOIN LATERAL (
        SELECT array_agg(f.essay_id) FILTER (WHERE p.phase = 'student_matching') AS unmatched,
            array_agg(f.essay_id) FILTER (WHERE p.phase = 'nlp') AS unanalysed,
            array_agg(f.essay_id) FILTER (
                WHERE p.phase NOT IN ('student_matching', 'spellcheck', 'nlp', 'cj_assessment')) AS failed_later
        FROM ras_batch_results.phases p CROSS JOIN jsonb_array_elements_text(p.failed_essay_ids) f (essay_id)
        WHERE p.batch_id = b.batch_id AND q.required ? p.phase
    ) o
"""
"""What batches `b` need, and who failed in those phases of which no result per essay is known."""

_HEAD: Final = "SELECT coalesce(max(notification_id), 0) AS head FROM ras.stored_events"
_GENERATION: Final = "(SELECT generation FROM ras.read_models WHERE name = 'batch_results')"

_STATUS_QUERY: Final = f"""
    WITH b AS (
        SELECT b.*, {_GENERATION} AS generation, {_STATUS} AS status, q.*, o.*
        FROM ras_batch_results.batches b {_REQUIRED}
        WHERE b.batch_id = %(batch_id)s AND b.user_id IS NOT NULL
    ) {_SUMMARY}
"""
_EDITION: Final = f"""
    SELECT {_GENERATION} AS generation, position FROM ras_batch_results.batches
    WHERE batch_id = %(batch_id)s AND user_id IS NOT NULL
"""
_USER_QUERY: Final = f"""
    WITH mine AS (
        SELECT b.*, {_STATUS} AS status FROM ras_batch_results.batches b WHERE b.user_id = %(user_id)s
    ), wanted AS (
        SELECT *, count(*) OVER () AS matches FROM mine WHERE %(status)s ::text IS NULL OR status = %(status)s
    ), page AS (
        SELECT * FROM wanted ORDER BY registered_at DESC, batch_id LIMIT %(limit)s OFFSET %(offset)s
    ), b AS (
        SELECT b.*, q.*, o.* FROM page b {_REQUIRED}
    ) {_SUMMARY} ORDER BY b.registered_at DESC, b.batch_id
"""
_USER_COUNT: Final = f"""
    SELECT count(*) FROM (SELECT {_STATUS} AS status FROM ras_batch_results.batches b WHERE b.user_id = %(user_id)s) m
    WHERE %(status)s ::text IS NULL OR status = %(status)s
"""
_ESSAY_QUERY: Final = f"""
    SELECT b.user_id, b.class_id, b.course_code, b.assignment_id, b.status, b.position,
        b.assessed_at, e.*,
        (SELECT count(*) FROM ras_batch_results.rankings r JOIN ras_batch_results.essays x USING (batch_id, essay_id)
         WHERE r.batch_id = b.batch_id AND x.ordinal IS NOT NULL) AS ranked
    FROM (
        SELECT b.*, {_STATUS} AS status, q.*, o.* FROM ras_batch_results.essays y
        JOIN ras_batch_results.batches b ON b.batch_id = y.batch_id {_REQUIRED}
        WHERE y.essay_id = %(essay_id)s AND y.ordinal IS NOT NULL AND b.user_id IS NOT NULL
        ORDER BY b.registered_at DESC, b.batch_id LIMIT 1
    ) b CROSS JOIN LATERAL ({_ESSAYS} AND x.essay_id = %(essay_id)s) e
"""
_NOTIFICATIONS: Final = """
    SELECT * FROM ras_teacher_inbox.notifications
    WHERE teacher_id = %(teacher_id)s AND (%(before)s ::bigint IS NULL OR position < %(before)s)
        AND (NOT %(unread)s OR read_at IS NULL)
    ORDER BY position DESC LIMIT %(limit)s
"""
_TEACHER: Final = "SELECT teacher_id FROM ras_teacher_inbox.notifications WHERE notification_id = %(id)s"
_WANTED_LETTERS: Final = """
    (%(reason)s ::text IS NULL OR reason = %(reason)s) AND (%(topic)s ::text IS NULL OR topic = %(topic)s)
        AND (%(since)s ::timestamptz IS NULL OR received_at >= %(since)s)
        AND (%(until)s ::timestamptz IS NULL OR received_at < %(until)s)
        AND (%(positions)s ::bigint[] IS NULL OR position = ANY (%(positions)s))
"""
_LETTERS: Final = f"""
    SELECT position, stream_id, reason, detail, topic, partition, "offset", received_at,
        state, attempts, changed_at, changed_by, note
    FROM ras_dead_letters.letters
    WHERE {_WANTED_LETTERS}
        AND (%(state)s ::text IS NULL OR state = %(state)s)
        AND (%(before)s ::bigint IS NULL OR position < %(before)s)
    ORDER BY position DESC LIMIT %(limit)s
"""
_SETTLEABLE: Final = f"""
    SELECT position, stream_id, count(*) OVER () AS matches FROM ras_dead_letters.letters
    WHERE {_WANTED_LETTERS} AND state = 'open' AND reason <> 'parked' AND position > %(after)s
    ORDER BY position LIMIT %(limit)s
"""
_PARKED: Final = """
    SELECT stream_id, count(*) AS waiting, min(position) AS first_position, min(received_at) AS since,
        (array_agg(detail ORDER BY position))[1] AS fault
    FROM ras_dead_letters.letters WHERE reason = 'parked' AND state = 'open'
    GROUP BY stream_id ORDER BY first_position
"""
_LETTER: Final = "SELECT * FROM ras_dead_letters.letters WHERE position = %(position)s"


class PostgresQueries(ReadModelQueries):
    """All queries, on the read models. Raises psycopg's errors when the database is away."""

    async def head(self) -> int:
        """Return the highest notification id of the log, 0 where nothing is recorded."""
        return int((await self._rows(_HEAD))[0]["head"])

    async def status(self, batch_id: str) -> Answer[BatchStatus] | None:
        """Return how a batch stands, None if it is not known."""
        rows = await self._rows(_STATUS_QUERY, batch_id=batch_id)
        if not rows:
            return None
        return Answer(
            batch_status(rows[0], written(rows[0]["essays"])), rows[0]["position"], rows[0]["generation"]
        )

    async def edition(self, batch_id: str) -> Edition | None:
        """Return the edition of what `status` would answer, None if the batch is not known."""
        rows = await self._rows(_EDITION, batch_id=batch_id)
        return Edition(rows[0]["generation"], rows[0]["position"]) if rows else None

    async def batches_of(self, user_id: str, *, limit: int, offset: int, status: str | None) -> UserBatches:
        """Return a page of a user's batches, newest first."""
        rows = await self._rows(_USER_QUERY, user_id=user_id, limit=limit, offset=offset, status=status)
        if rows:
            total = rows[0]["matches"]
        else:
            total = (await self._rows(_USER_COUNT, user_id=user_id, status=status))[0]["count"]
        return {
            "batches": [batch_status(row, written(row["essays"])) for row in rows],
            "pagination": {"limit": limit, "offset": offset, "total": total},
        }

    async def essay_analysis(self, essay_id: str) -> Answer[EssayAnalysis] | None:
        """Return everything known of an essay, in its newest batch."""
        rows = await self._rows(_ESSAY_QUERY, essay_id=essay_id)
        return Answer(essay_body(rows[0]), rows[0]["position"]) if rows else None

    async def notifications(
        self, teacher_id: str, *, limit: int, before: int | None, unread: bool
    ) -> Notifications:
        """Return a page of a teacher's notifications, newest first."""
        rows = await self._rows(
            _NOTIFICATIONS, teacher_id=teacher_id, limit=limit + 1, before=before, unread=unread
        )
        page = rows[:limit]
        return {
            "notifications": [notification_body(row) for row in page],
            "next_cursor": str(page[-1]["position"]) if len(rows) > limit else None,
        }

    async def teacher_of(self, notification_id: UUID) -> str | None:
        """Return whose notification it is, None if there is none."""
        rows = await self._rows(_TEACHER, id=notification_id)
        return str(rows[0]["teacher_id"]) if rows else None

    async def letters(self, wanted: LetterFilter, *, limit: int, before: int | None) -> DeadLetterPage:
        """Return a page of dead letters, newest first."""
        found = await self._carriers(wanted, before)
        rows = await self._rows(
            _LETTERS, **asdict(wanted), positions=found and found.positions, limit=limit + 1, before=before
        )
        page = rows[:limit]
        behind = page[-1]["position"] if len(rows) > limit else found and found.searched_to
        return {
            "dead_letters": [dead_letter_summary(row) for row in page],
            "next_cursor": None if behind is None else str(behind),
        }

    async def _carriers(self, wanted: LetterFilter, before: int | None) -> Found | None:
        """Return the letters that carry the ids wanted, None where no id is."""
        return await carriers(self._rows, _WANTED_LETTERS, wanted, before=before) if wanted.by_id else None

    async def settleable(
        self, wanted: LetterFilter, *, after: int, limit: int
    ) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """Return how many open letters behind `after` fit, and position and stream of the oldest of them."""
        found = await self._carriers(replace(wanted, state=LetterState.OPEN.value), None)
        rows = await self._rows(
            _SETTLEABLE, **asdict(wanted), positions=found and found.positions, after=after, limit=limit
        )
        return (rows[0]["matches"] if rows else 0), rows

    async def letter(self, position: int) -> DeadLetter | None:
        """Return one dead letter with its bytes in base64."""
        rows = await self._rows(_LETTER, position=position)
        return dead_letter_body(rows[0]) if rows else None

    async def parked(self) -> Parked:
        """Return the streams in which messages wait."""
        return {"parked": [parked_stream(row) for row in await self._rows(_PARKED)]}
