"""The SQL behind the queries. It reads facts; what follows from them together is asked of the domain (`standings.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final, cast
from uuid import UUID

from application.batch_status import batch_status
from application.list_cursor import ListCursor
from application.queries import Answer, BatchProgress, Edition, LetterFilter, Settleable, SeveralTeachersError
from application.responses.batches import BatchStatus, EssayAnalysis, UserBatches
from application.responses.dead_letters import DeadLetter, DeadLetterPage, Parked
from application.responses.inbox import Notifications
from application.responses.organisations import OrganisationSummary
from domain.dead_letters import LetterState
from domain.phase_progress import phase_progress
from domain.values import BatchStatus as Status
from infrastructure.eventstore.positions import UNSENT
from infrastructure.postgres.read_models import ReadModelUnavailableError
from infrastructure.queries.bodies import (
    dead_letter_body,
    dead_letter_summary,
    essay_body,
    notification_body,
    parked_stream,
    unsent,
    written,
)
from infrastructure.queries.editions import GENERATION, Editions
from infrastructure.queries.essays import (
    ANALYSED_QUERY,
    ANALYSIS_QUERY,
    COMPARISONS_QUERY,
    ESSAY_QUERY,
    feedback_members,
)
from infrastructure.queries.letters_by_id import Found, carriers
from infrastructure.queries.organisations import ALIKE, summary_of
from infrastructure.queries.read_model_queries import Ask, ReadModelQueries
from infrastructure.queries.standings import LETTER, counted, standing_among


def _utc_text(time: str) -> str:
    """Return SQL for a time as `json_bytes` writes it: a fraction has six digits, and there is none of zero."""
    text = f"""to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    return f"replace({text}, '.000000Z', 'Z')"


_OUTCOMES: Final = """
    (SELECT json_object_agg(p.phase, json_build_array(p.status, p.failed_essay_ids))
     FROM ras_batch_results.phases p WHERE p.batch_id = b.batch_id) AS outcomes
"""
_RANKED_ESSAYS: Final = """
    ras_batch_results.essays x LEFT JOIN LATERAL (
        SELECT * FROM ras_batch_results.rankings r WHERE r.batch_id = x.batch_id AND r.essay_id = x.essay_id LIMIT 1
    ) r ON true
"""
"""Looked up by key, essay by essay. Of a plain join PostgreSQL expects the few rows of an average batch and compares each
essay with each ranking: 10,000 essays beside 5,000 small batches took 8 to 20 s."""

_ESSAYS: Final = f"""
    SELECT string_agg({LETTER}, '' ORDER BY x.ordinal) AS letters,
        string_agg(x.essay_id, E'\\x1e' ORDER BY x.ordinal) AS essay_ids,
        string_agg(json_build_object(
            'essay_id', x.essay_id,
            'filename', x.file_name,
            'file_upload_id', x.file_upload_id,
            'spellcheck_status', x.spellcheck_status,
            'spellcheck_correction_count', x.spellcheck_corrections,
            'spellcheck_corrected_text_storage_id', x.spellcheck_corrected_text_id,
            'spellcheck_error_detail', x.spellcheck_error,
            'cj_rank', r.rank,
            'cj_score', r.bt_score,
            'last_updated', {_utc_text("greatest(x.last_updated, r.assessed_at)")}
        )::text, E'\\x1e' ORDER BY x.ordinal) AS objects
    FROM {_RANKED_ESSAYS} WHERE x.batch_id = b.batch_id AND x.ordinal IS NOT NULL
"""
_HEAD: Final = "SELECT coalesce(max(notification_id), 0) AS head FROM ras.stored_events"

_STATUS_QUERY: Final = f"""
    SELECT b.*, {GENERATION} AS generation, {_OUTCOMES}, s.*
    FROM ras_batch_results.batches b CROSS JOIN LATERAL ({_ESSAYS}) s
    WHERE b.batch_id = %(batch_id)s AND b.user_id IS NOT NULL
"""
_OUTLINES: Final = f"""
    SELECT b.*, {_OUTCOMES}, s.*, NULL AS objects
    FROM ras_batch_results.batches b CROSS JOIN LATERAL (
        SELECT string_agg({LETTER}, '' ORDER BY x.ordinal) AS letters,
            string_agg(x.essay_id, E'\\x1e' ORDER BY x.ordinal) AS essay_ids,
            count(x.file_upload_id) AS files
        FROM {_RANKED_ESSAYS} WHERE x.batch_id = b.batch_id AND x.ordinal IS NOT NULL
    ) s
    WHERE b.batch_id = ANY (%(batch_ids)s ::text[]) AND b.user_id IS NOT NULL
"""
_WANTED: Final = """
    b.{owner} = %(owner)s AND (%(statuses)s ::text[] IS NULL OR b.status = ANY (%(statuses)s))
"""
_BEHIND: Final = """
    AND b.registered_at <= %(after_time)s AND (b.registered_at < %(after_time)s OR b.batch_id > %(after_id)s)
"""
"""A range of the list's index; in a statement of its own, because a plan for any parameters could not use it."""

_PAGE: Final = f"""
    WITH found AS MATERIALIZED (
        SELECT * FROM ras_batch_results.batches b WHERE {_WANTED} {{behind}}
        ORDER BY registered_at DESC, batch_id LIMIT %(limit)s + 1 OFFSET %(offset)s
    )
    SELECT b.*, (SELECT count(*) FROM found) AS found, {_OUTCOMES}, s.*
    FROM (SELECT * FROM found ORDER BY registered_at DESC, batch_id LIMIT %(limit)s) b
    CROSS JOIN LATERAL ({_ESSAYS}) s ORDER BY b.registered_at DESC, b.batch_id
"""
"""A page, and whether there is one more."""

_COUNT: Final = f"SELECT count(*) FROM ras_batch_results.batches b WHERE {_WANTED}"
_USERS, _ORGANISATIONS = "user_id", "org_id"
_COUNTS: Final = {owner: _COUNT.replace("{owner}", owner) for owner in (_USERS, _ORGANISATIONS)}
_PAGES: Final = {
    (owner, is_first): _PAGE.replace("{owner}", owner).replace("{behind}", "" if is_first else _BEHIND)
    for owner in (_USERS, _ORGANISATIONS)
    for is_first in (True, False)
}
"""By the column that says whose batches a list has, and by whether the page begins where the list does."""
_NOTIFICATIONS: Final = """
    SELECT * FROM ras_teacher_inbox.notifications
    WHERE teacher_id = %(teacher_id)s AND (%(before)s ::bigint IS NULL OR position < %(before)s)
        AND (NOT %(unread)s OR read_at IS NULL)
    ORDER BY position DESC LIMIT %(limit)s
"""
_UNREAD: Final = """
    SELECT count(*) AS unread FROM ras_teacher_inbox.notifications
    WHERE teacher_id = %(teacher_id)s AND read_at IS NULL
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
    """All queries, on the read models. Raises psycopg's errors when the database is unavailable."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(ask)
        self._editions = Editions(self._rows)

    async def head(self) -> int:
        """Return the highest notification id of the log, 0 where nothing is recorded."""
        return int((await self._rows(_HEAD))[0]["head"])

    async def status(self, batch_id: str) -> Answer[BatchStatus] | None:
        """Return how a batch stands, None if it is not known."""
        rows = await self._rows(_STATUS_QUERY, batch_id=batch_id)
        if not rows:
            return None
        row = counted(rows[0])
        return Answer(batch_status(row, written(row["essays"])), row["position"], row["generation"])

    async def outlines(self, batch_ids: Sequence[str]) -> dict[str, BatchStatus]:
        """Return how batches stand, by their ids, without their essays; those that are not known are left out."""
        rows = await self._rows(_OUTLINES, batch_ids=list(batch_ids))
        return {row["batch_id"]: batch_status(counted(row), []) for row in rows}

    async def progress(self, batch_ids: Sequence[str]) -> dict[str, BatchProgress]:
        """Return how far batches are, by their ids; those that are not known are left out."""
        rows = [counted(row) for row in await self._rows(_OUTLINES, batch_ids=list(batch_ids))]
        unended = [row["batch_id"] for row in rows if row["overall_status"] is None]
        analysed = await self._rows(ANALYSED_QUERY, batch_ids=unended) if unended else []
        counts = {row["batch_id"]: row["analysed"] for row in analysed}
        return {
            row["batch_id"]: BatchProgress(
                batch_status(row, []),
                phase_progress(
                    row["tally"],
                    row["required"],
                    Status(row["status"]),
                    files=row["files"],
                    analysed=counts.get(row["batch_id"], 0),
                ),
            )
            for row in rows
        }

    async def edition(self, batch_id: str) -> Edition | None:
        """Return the edition of what `status` would answer, None if the batch is not known."""
        return await self._editions.of(batch_id)

    async def batches_of(
        self, user_id: str, *, limit: int, offset: int, statuses: Sequence[Status], after: ListCursor | None
    ) -> UserBatches:
        """Return a page of a user's batches, newest first."""
        return await self._list(_USERS, user_id, limit=limit, offset=offset, statuses=statuses, after=after)

    async def batches_of_organisation(
        self, org_id: str, *, limit: int, offset: int, statuses: Sequence[Status], after: ListCursor | None
    ) -> UserBatches:
        """Return a page of an organisation's batches, newest first."""
        return await self._list(
            _ORGANISATIONS, org_id, limit=limit, offset=offset, statuses=statuses, after=after
        )

    async def organisation_summary(self, org_id: str) -> OrganisationSummary:
        """Return how many batches an organisation has, by status, course and month."""
        return summary_of(org_id, await self._rows(ALIKE, org_id=org_id))

    async def _list(
        self,
        column: str,
        owner: str,
        *,
        limit: int,
        offset: int,
        statuses: Sequence[Status],
        after: ListCursor | None,
    ) -> UserBatches:
        wanted = {"owner": owner, "statuses": list(statuses) or None}
        behind = {"after_time": after and after.registered_at, "after_id": after and after.batch_id}
        rows = await self._rows(_PAGES[column, after is None], **wanted, **behind, limit=limit, offset=offset)
        more = bool(rows) and rows[0]["found"] > limit
        return {
            "batches": [batch_status(row, written(row["essays"])) for row in map(counted, rows)],
            "pagination": {
                "limit": limit,
                "offset": offset,
                "total": (await self._rows(_COUNTS[column], **wanted))[0]["count"],
                "next_cursor": str(ListCursor.behind(rows[-1])) if more else None,
            },
        }

    async def essay_analysis(
        self,
        essay_id: str,
        *,
        batch_id: str | None = None,
        teacher: str | None = None,
        with_errors: bool = False,
    ) -> Answer[EssayAnalysis] | None:
        """Return everything known of an essay in one batch, None if it is in none. Raises SeveralTeachersError."""
        rows = await self._rows(ESSAY_QUERY, essay_id=essay_id, batch_id=batch_id, teacher=teacher)
        if not rows:
            return None
        row, standing = rows[0], standing_among(rows[0])
        if batch_id is None and teacher is None and row["is_shared"]:
            raise SeveralTeachersError
        own_texts = [row["text_storage_id"], row["spellcheck_corrected_text_id"]]
        analyses = await self._rows(
            ANALYSIS_QUERY,
            essay_id=essay_id,
            texts=own_texts if row["has_strangers"] else None,
            with_errors=with_errors,
        )
        analysis = analyses[0] if analyses else None
        stands = {
            "standing": standing.standing(essay_id, row["letter"]).state.value,
            "cj_status": standing.judged(essay_id, row["letter"]),
        }
        comparisons = None if row["rank"] is None else await self._comparisons(row["job_id"], essay_id)
        body = {**essay_body({**row, **stands}), **feedback_members(row, analysis, comparisons)}
        position = max(row["position"], analysis["position"] if analysis else 0)
        return Answer(cast("EssayAnalysis", body), position)

    async def _comparisons(self, job_id: str, essay_id: str) -> int | None:
        try:
            rows = await self._rows(COMPARISONS_QUERY, job_id=job_id, essay_id=essay_id)
        except ReadModelUnavailableError:
            return None  # the rest of the answer does not need this read model
        return int(rows[0]["judged"])

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
            "unread": (await self._rows(_UNREAD, teacher_id=teacher_id))[0]["unread"],
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

    async def settleable(self, wanted: LetterFilter, *, after: int, limit: int) -> Settleable:
        """Return how many open letters behind `after` fit, and the oldest of them."""
        found = await self._carriers(replace(wanted, state=LetterState.OPEN.value), None)
        rows = await self._rows(
            _SETTLEABLE, **asdict(wanted), positions=found and found.positions, after=after, limit=limit
        )
        is_complete = found is None or found.searched_to is None
        return Settleable(rows[0]["matches"] if rows else 0, rows, is_complete)

    async def letter(self, position: int) -> DeadLetter | None:
        """Return one dead letter with its bytes in base64."""
        rows = await self._rows(_LETTER, position=position)
        return dead_letter_body(rows[0]) if rows else None

    async def parked(self) -> Parked:
        """Return the streams in which messages wait, and what waits to be published."""
        return {
            "parked": [parked_stream(row) for row in await self._rows(_PARKED)],
            "unsent": [unsent(row) for row in await self._rows(UNSENT)],
        }
