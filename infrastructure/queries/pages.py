"""What the pages ask beyond the API: lists with filters, and a batch's grades. Every query is bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from uuid import UUID

from infrastructure.queries.essays import LANGUAGE_FIGURES_QUERY
from infrastructure.queries.read_model_queries import ReadModelQueries, Rows

PAGE: Final = 25

_WANTED: Final = """
    user_id = %(teacher)s
        AND (%(class_id)s ::text IS NULL OR class_id = %(class_id)s)
        AND (%(course)s ::text IS NULL OR course_code = %(course)s)
        AND (%(text)s ::text IS NULL OR strpos(lower(concat_ws(' ', batch_id, class_id, course_code, assignment_id)),
            lower(%(text)s)) > 0)
        AND (%(state)s ::text IS NULL OR %(state)s = CASE
            WHEN overall_status IS NULL THEN 'progress'
            WHEN overall_status = 'completed_successfully' THEN 'done' ELSE 'attention' END)
"""
_BATCHES: Final = f"""
    SELECT batch_id, class_id, course_code, assignment_id, registered_at, ended_at, last_updated, revision,
        count(*) OVER () AS matches
    FROM ras_batch_results.batches WHERE {_WANTED}
    ORDER BY (overall_status IN ('failed_critically', 'completed_with_failures')
            AND ended_at > clock_timestamp() - interval '14 days') IS TRUE DESC,
        overall_status IS NULL DESC, registered_at DESC, batch_id
    LIMIT %(limit)s OFFSET %(offset)s
"""
_CHOICES: Final = """
    SELECT DISTINCT class_id, course_code FROM ras_batch_results.batches WHERE user_id = %(teacher)s LIMIT 500
"""
_BATCH: Final = (
    "SELECT * FROM ras_batch_results.batches WHERE batch_id = %(batch_id)s AND user_id = %(teacher)s"
)
_NAMES: Final = """
    SELECT batch_id, course_code, class_id FROM ras_batch_results.batches
    WHERE batch_id = ANY(%(batch_ids)s) AND user_id = %(teacher)s
"""
_RANKINGS: Final = """
    SELECT essay_id, rank, bt_score, normalized_score, letter_grade, confidence_score, confidence_label
    FROM ras_batch_results.rankings WHERE batch_id = %(batch_id)s
"""
_UNREAD: Final = """
    SELECT count(*) AS unread FROM (SELECT FROM ras_teacher_inbox.notifications
        WHERE teacher_id = %(teacher)s AND read_at IS NULL LIMIT 1000) AS unread
"""
_UNREAD_IDS: Final = """
    SELECT notification_id FROM ras_teacher_inbox.notifications
    WHERE teacher_id = %(teacher)s AND read_at IS NULL ORDER BY position DESC LIMIT %(limit)s
"""
_FOUND: Final = """
    (SELECT 'batch' AS kind, batch_id AS id, user_id AS about FROM ras_batch_results.batches WHERE batch_id = %(id)s)
    UNION ALL
    (SELECT 'essay', essay_id, batch_id FROM ras_batch_results.essays WHERE essay_id = %(id)s LIMIT 20)
    UNION ALL
    (SELECT 'job', job_id, batch_id FROM ras_assessments.jobs WHERE job_id = %(id)s OR batch_id = %(id)s LIMIT 20)
    UNION ALL
    (SELECT 'event', notification_id::text, originator_id FROM ras.stored_events
     WHERE %(number)s ::bigint IS NOT NULL AND notification_id = %(number)s)
    UNION ALL
    (SELECT 'letter', position::text, reason FROM ras_dead_letters.letters
     WHERE %(number)s ::bigint IS NOT NULL AND position = %(number)s)
    UNION ALL
    (SELECT 'stream', originator_id, count(*)::text FROM ras.stored_events WHERE originator_id = %(id)s
     GROUP BY originator_id)
"""
_CARRIES: Final = """
    (SELECT 'notification' AS kind, notification_id::text AS id, batch_id AS about
     FROM ras_teacher_inbox.notifications WHERE notification_id = %(uuid)s)
    UNION ALL
    (SELECT 'event', notification_id::text, originator_id FROM ras.stored_events
     WHERE notification_id > (SELECT coalesce(max(notification_id), 0) FROM ras.stored_events) - %(newest)s
        AND position(convert_to(%(id)s, 'UTF8') IN state) > 0
     ORDER BY notification_id DESC LIMIT 50)
"""
"""Events carry the ids of their cause within their state, which has no index: the newest are read through."""
NEWEST_SEARCHED: Final = 100_000
_REBUILDS: Final = """
    SELECT name, version, state, position, detail, started_at AS begun_at, updated_at
    FROM ras.rebuilds ORDER BY id DESC LIMIT %(limit)s
"""
_JOBS: Final = """
    SELECT j.job_id, j.batch_id, r.assessed_at, r.model_used, j.position FROM ras_assessments.jobs j
    LEFT JOIN ras_assessments.assessment_results r USING (job_id)
    WHERE (%(before)s ::bigint IS NULL OR j.position < %(before)s)
        AND (%(id)s ::text IS NULL OR j.job_id = %(id)s OR j.batch_id = %(id)s)
    ORDER BY j.position DESC LIMIT %(limit)s
"""
_JOB: Final = """
    SELECT j.job_id, j.batch_id, j.position, r.assessed_at, r.method, r.model_used, r.model_provider, r.results
    FROM ras_assessments.jobs j LEFT JOIN ras_assessments.assessment_results r USING (job_id)
    WHERE j.job_id = %(job_id)s
"""
_COUNTS: Final = """
    SELECT count(*) AS total, count(winner) AS decided, count(DISTINCT coalesce(judge, provider || '/' || model)) AS judges,
        count(*) FILTER (WHERE winner ILIKE '%%a') AS first_won
    FROM (SELECT winner, judge, provider, model FROM ras_assessments.judge_decisions
        WHERE job_id = %(job_id)s LIMIT 100000) AS decisions
"""
_DECISIONS: Final = """
    SELECT position, essay_a_id, essay_b_id, winner, confidence, justification, error_code, completed_at,
        coalesce(nullif(judge, ''), provider || '/' || model) AS judge
    FROM ras_assessments.judge_decisions
    WHERE job_id = %(job_id)s AND position > %(after)s
        AND (%(text)s ::text IS NULL OR position(lower(%(text)s) IN lower(concat_ws(' ', essay_a_id, essay_b_id,
            coalesce(nullif(judge, ''), provider || '/' || model), justification))) > 0)
    ORDER BY position LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFilter:
    """Which batches a teacher wants to see; None leaves a choice open."""

    class_id: str | None = None
    course: str | None = None
    state: str | None = None
    text: str | None = None


class PageQueries(ReadModelQueries):
    """The queries of the pages. Raises psycopg's errors when the database is unavailable."""

    async def batches(self, teacher: str, wanted: BatchFilter, *, offset: int) -> tuple[Rows, int]:
        """Return a page of a teacher's batches, what needs attention first, and how many there are."""
        rows = await self._rows(_BATCHES, teacher=teacher, **asdict(wanted), limit=PAGE, offset=offset)
        return rows, (rows[0]["matches"] if rows else 0)

    async def choices(self, teacher: str) -> tuple[set[str], set[str]]:
        """Return the classes and courses that a teacher's batches have."""
        rows = await self._rows(_CHOICES, teacher=teacher)
        return (
            {row["class_id"] for row in rows if row["class_id"]},
            {row["course_code"] for row in rows if row["course_code"]},
        )

    async def batch(self, batch_id: str, teacher: str) -> Mapping[str, Any] | None:
        """Return the row of a teacher's own batch."""
        rows = await self._rows(_BATCH, batch_id=batch_id, teacher=teacher)
        return rows[0] if rows else None

    async def names(self, batch_ids: Sequence[str], teacher: str) -> Mapping[str, str]:
        """Return what the teacher calls batches: course and class, as far as they are known."""
        rows = await self._rows(_NAMES, batch_ids=list(batch_ids), teacher=teacher)
        return {
            row["batch_id"]: " · ".join(filter(None, (row["course_code"], row["class_id"]))) for row in rows
        }

    async def rankings(self, batch_id: str) -> dict[str, Mapping[str, Any]]:
        """Return the results of the ranked essays, by their ids."""
        return {row["essay_id"]: row for row in await self._rows(_RANKINGS, batch_id=batch_id)}

    async def language_figures(self, batch_id: str, essay_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return words and language errors of those of the essays whose language was analysed, by their ids."""
        rows = await self._rows(LANGUAGE_FIGURES_QUERY, batch_id=batch_id, essay_ids=list(essay_ids))
        return {row["essay_id"]: row for row in rows}

    async def unread(self, teacher: str) -> int:
        """Return how many notifications are unread, counted to 1,000."""
        return int((await self._rows(_UNREAD, teacher=teacher))[0]["unread"])

    async def unread_ids(self, teacher: str, *, limit: int) -> list[Any]:
        """Return the ids of the newest unread notifications."""
        return [row["notification_id"] for row in await self._rows(_UNREAD_IDS, teacher=teacher, limit=limit)]

    async def found(self, text: str) -> Rows:
        """Return what has this id."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
        found = list(await self._rows(_FOUND, id=text, number=number))
        try:
            uuid = UUID(text)
        except ValueError:
            return found
        # Written as upstream writes it; that of an event or a correlation, as a rule.
        return [*found, *await self._rows(_CARRIES, id=str(uuid), uuid=uuid, newest=NEWEST_SEARCHED)]

    async def rebuilds(self, *, limit: int) -> Rows:
        """Return the newest rebuilds, those under way included."""
        return await self._rows(_REBUILDS, limit=limit)

    async def jobs(self, *, limit: int, before: int | None = None, id_: str | None = None) -> Rows:
        """Return the newest judging jobs before a position; with `id_` the job, or the jobs of the batch, of that id."""
        return await self._rows(_JOBS, limit=limit, before=before, id=id_)

    async def job(self, job_id: str) -> Mapping[str, Any] | None:
        """Return a judging job, its result and the counts of its decisions."""
        rows = await self._rows(_JOB, job_id=job_id)
        if not rows:
            return None
        return {**rows[0], **(await self._rows(_COUNTS, job_id=job_id))[0]}

    async def decisions(
        self, job_id: str, *, after: int, limit: int, text: str | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Return decisions of a job, in order; with `text` those that name it: an essay, the judge, a justification."""
        return await self._rows(_DECISIONS, job_id=job_id, after=after, limit=limit, text=text)
