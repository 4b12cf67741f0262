"""The teacher's pages: my batches, one batch, one essay, notifications. Each shows the teacher's own only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from application.enrichment import Assessments, AssessmentUnavailable
from application.explanation import ExplainReadiness
from application.history import BatchHistory
from application.json_text import json_bytes
from application.queries import BatchProgress, BatchQueries, InboxQueries, ReadProgress
from application.responses.history import Explanation
from application.time_travel import By
from domain.collation import sort_key
from domain.phase_progress import phase_now
from infrastructure.http.identity import TEACHER, Identity
from infrastructure.http.parameters import id_of
from infrastructure.http.problems import Problem
from infrastructure.live.hub import Hub
from infrastructure.pages.downloads import as_csv, as_spreadsheet
from infrastructure.pages.forms import form_of
from infrastructure.pages.intervals import Intervals
from infrastructure.pages.rendering import Renderer, language_of, number_in, text_in
from infrastructure.queries.pages import PAGE, BatchFilter, PageQueries

_ESSAYS: Final = 100
_HISTORY: Final = 50
_MARKED_AT_ONCE: Final = 500
_STATES: Final = ("attention", "progress", "done")
_UNFINISHED: Final = frozenset({"pending_content", "ready", "processing"})
_MOST_INTERVALS: Final = 1000
_EXPLAINED_AT_ONCE: Final = 300
"""Essays; the explanation reads the whole stream of the batch."""
_SORTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "rank": lambda row: row["cj_rank"] if row["cj_rank"] is not None else 10**9,
    "corrections": lambda row: -(row["spellcheck_correction_count"] or 0),
    "state": lambda row: row["state"],
}
_RANK_ORDER: Final = "rank"
_FILE_ORDER: Final = "file"

MarkRead = Callable[[UUID, str], None]


class TeacherPages:
    """The pages, on what the API answers from. `shown` returns when they show what was just changed."""

    def __init__(
        self,
        renderer: Renderer,
        hub: Hub,
        batches: BatchQueries,
        inbox: InboxQueries,
        progress: ReadProgress,
        pages: PageQueries,
        assessments: Assessments,
        histories: Mapping[str, BatchHistory],
        explain: ExplainReadiness,
        mark_read: MarkRead,
        shown: Callable[[], Awaitable[None]],
    ) -> None:
        self._renderer = renderer
        self._hub = hub
        self._batches = batches
        self._inbox = inbox
        self._progress = progress
        self._pages = pages
        self._assessments = assessments
        self._histories = histories
        self._explain = explain
        self._mark_read = mark_read
        self._shown = shown

    def routes(self) -> list[Route]:
        """Return the routes."""

        def guarded(page: Any) -> Any:
            return self._renderer.guarded(TEACHER, page)

        return [
            Route("/batches", guarded(self.my_batches)),
            Route("/batches/{batch_id}", guarded(self.one_batch)),
            Route("/batches/{batch_id}/essays.csv", guarded(self.essays_as_csv)),
            Route("/batches/{batch_id}/essays.xlsx", guarded(self.essays_as_spreadsheet)),
            Route("/essays/{essay_id}", guarded(self.one_essay)),
            Route("/notifications", guarded(self.notifications)),
            Route("/notifications/read", guarded(self.read), methods=["POST"]),
        ]

    async def my_batches(self, request: Request, identity: Identity) -> Response:
        """All batches of the teacher, what needs attention first."""
        live_id = await self._hub.current_id()
        state = request.query_params.get("state")
        wanted = BatchFilter(
            class_id=text_in(request, "class") or None,
            course=text_in(request, "course") or None,
            state=state if state in _STATES else None,
            text=text_in(request, "q", most=200).strip() or None,
        )
        number = min(number_in(request, "page") or 1, 10_000)
        rows, total = await self._pages.batches(identity.subject, wanted, offset=(number - 1) * PAGE)
        if not rows and number > 1:  # there were more of them a moment ago
            number = 1
            rows, total = await self._pages.batches(identity.subject, wanted, offset=0)
        found = await self._progress([row["batch_id"] for row in rows])
        by_name = sort_key(language_of(request))
        classes, courses = await self._pages.choices(identity.subject)
        return self._renderer.page(
            request,
            "batches.html",
            identity,
            title="My batches",
            live_id=live_id,
            unread=await self._pages.unread(identity.subject),
            batches=[{**row, **_card(found[row["batch_id"]])} for row in rows if row["batch_id"] in found],
            total=total,
            number=number,
            pages=-(-total // PAGE),
            wanted=wanted,
            classes=sorted(classes, key=by_name),
            courses=sorted(courses, key=by_name),
        )

    async def one_batch(self, request: Request, identity: Identity) -> Response:
        """A batch: what happened, its essays, its grades and its history."""
        live_id = await self._hub.current_id()
        row, summary, essays = await self._batch(request, identity)
        sort = request.query_params.get("sort", _RANK_ORDER)
        text = text_in(request, "q", most=200).strip()
        language = language_of(request)
        shown = [
            each for each in essays if text.casefold() in (each["filename"] or each["essay_id"]).casefold()
        ]
        shown.sort(key=_order(sort, language))
        pages = -(-len(shown) // _ESSAYS)
        number = min(number_in(request, "page") or 1, max(pages, 1))
        on_page = await self._with_language(row["batch_id"], shown[(number - 1) * _ESSAYS : number * _ESSAYS])
        history = await asyncio.to_thread(
            lambda: self._histories[language].page(
                row["batch_id"], after=0, limit=_HISTORY, at=None, by=By.RECORDED
            )
        )
        return self._renderer.page(
            request,
            "batch.html",
            identity,
            title="Batch",
            live_id=live_id,
            unread=await self._pages.unread(identity.subject),
            batch={**row, **summary, **await self._phases(row["batch_id"], summary)},
            essays=on_page,
            matches=len(shown),
            number=number,
            pages=pages,
            sort=sort,
            text=text,
            grades=_grades(essays),
            has_intervals=any(each["drawn"] for each in essays),
            has_language=any(each["words"] is not None for each in on_page),
            history=history["events"],
            more_history=history.get("next_cursor") is not None,
            why=await self._why(request, row["batch_id"], summary),
        )

    async def _intervals(self, batch_id: str, essays: int) -> Intervals:
        """Return the intervals that the assessment app knows; of a very large batch none, the page would wait for them."""
        if essays > _MOST_INTERVALS:
            return Intervals(AssessmentUnavailable("The batch is too large."))
        return Intervals(await self._assessments.of_batch(batch_id, correlation_id=str(uuid4())))

    async def _why(
        self, request: Request, batch_id: str, summary: Mapping[str, Any]
    ) -> Explanation | Literal["on demand"] | None:
        """Return why the batch is not ready: at once for most, for a large one when it is asked for."""
        if summary["status"] not in _UNFINISHED:
            return None
        if summary["total"] > _EXPLAINED_AT_ONCE and "why" not in request.query_params:
            return "on demand"
        return await asyncio.to_thread(self._explain, batch_id)

    async def _phases(self, batch_id: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Return how far an unfinished batch is in its phases; of a finished one the essays say more."""
        found = await self._progress([batch_id]) if summary["status"] in _UNFINISHED else {}
        return _phases(found[batch_id]) if batch_id in found else {"phases": ()}

    async def essays_as_csv(self, request: Request, identity: Identity) -> Response:
        """The essays of a batch as CSV."""
        row, _, essays = await self._batch(request, identity)
        return as_csv(row["batch_id"], await self._with_language(row["batch_id"], essays))

    async def essays_as_spreadsheet(self, request: Request, identity: Identity) -> Response:
        """The essays of a batch as a spreadsheet."""
        row, _, essays = await self._batch(request, identity)
        essays = await self._with_language(row["batch_id"], essays)
        return await asyncio.to_thread(as_spreadsheet, row["batch_id"], essays)

    async def one_essay(self, request: Request, identity: Identity) -> Response:
        """Everything known of an essay."""
        live_id = await self._hub.current_id()
        answer = await self._batches.essay_analysis(
            id_of(request, "essay_id", error="Invalid essay ID"),
            batch_id=text_in(request, "batch") or None,
            teacher=identity.subject,
        )
        if answer is None:
            raise Problem(404, "There is no such essay, or it belongs to somebody else.")
        return self._renderer.page(
            request,
            "essay.html",
            identity,
            title="Essay",
            live_id=live_id,
            unread=await self._pages.unread(identity.subject),
            essay=_plain(answer.body),
        )

    async def notifications(self, request: Request, identity: Identity) -> Response:
        """What the teacher was told, newest first."""
        live_id = await self._hub.current_id()
        body = await self._inbox.notifications(
            identity.subject, limit=PAGE, before=number_in(request, "cursor"), unread=False
        )
        return self._renderer.page(
            request,
            "notifications.html",
            identity,
            title="Notifications",
            live_id=live_id,
            unread=await self._pages.unread(identity.subject),
            notifications=body["notifications"],
            names=await self._pages.names(
                [each["batch_id"] for each in body["notifications"]], identity.subject
            ),
            next_cursor=body["next_cursor"],
        )

    async def read(self, request: Request, identity: Identity) -> Response:
        """Mark one notification as read, or all that are unread."""
        form = await form_of(request)
        given = str(form.get("notification_id", ""))
        if given == "all":
            ids = await self._pages.unread_ids(identity.subject, limit=_MARKED_AT_ONCE)
        else:
            try:
                ids = [UUID(given)]
            except ValueError as error:
                raise Problem(400, "This is not the id of a notification.") from error
            if await self._inbox.teacher_of(ids[0]) != identity.subject:
                raise Problem(404, "There is no such notification, or it belongs to somebody else.")
        for each in ids:
            await asyncio.to_thread(self._mark_read, each, identity.subject)
        await self._shown()  # a page without scripts does not learn of it later
        return RedirectResponse("/notifications", status_code=303)

    async def _batch(
        self, request: Request, identity: Identity
    ) -> tuple[Mapping[str, Any], dict[str, Any], list[dict[str, Any]]]:
        batch_id = id_of(request, "batch_id", error="Invalid batch ID")
        row = await self._pages.batch(batch_id, identity.subject)
        answer = None if row is None else await self._batches.status(batch_id)
        if row is None or answer is None:
            raise Problem(404, "There is no such batch, or it belongs to somebody else.")
        body = _plain(answer.body)
        ranked, intervals = await asyncio.gather(
            self._pages.rankings(batch_id), self._intervals(batch_id, body["essay_count"])
        )
        essays = [
            {
                **_essay(each, ranked.get(each["essay_id"], {})),
                **intervals.of(each["essay_id"]),
            }
            for each in body["essays"]
        ]
        return row, _summary(body), essays

    async def _with_language(self, batch_id: str, essays: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the essays with their language figures, which are asked for of those that are shown only."""
        found = await self._pages.language_figures(batch_id, [each["essay_id"] for each in essays])
        return [{**each, **_language(found.get(each["essay_id"], {}))} for each in essays]


def _order(sort: str, language: str) -> Callable[[Mapping[str, Any]], Any]:
    """Return the key to sort essays by; names in the order of the reader's language, by rank where `sort` is unknown."""
    if sort == _FILE_ORDER:
        by_name = sort_key(language)
        return lambda row: by_name(row["filename"] or row["essay_id"])
    return _SORTS.get(sort, _SORTS[_RANK_ORDER])


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values for a body whose parts may be JSON already."""
    plain: dict[str, Any] = orjson.loads(json_bytes(body))
    return plain


def _summary(body: Mapping[str, Any]) -> dict[str, Any]:
    total, done, failed = body["essay_count"], body["completed_essay_count"], body["failed_essay_count"]
    return {
        "status": body["overall_status"],
        "total": total,
        "done": done,
        "failed": failed,
        "waiting": max(0, total - done - failed),
        "phase": body["current_phase"],
    }


def _card(progress: BatchProgress) -> dict[str, Any]:
    """Return what the list shows of a batch: its phases, unless there is nothing more to say than that all is done."""
    summary = _summary(progress.status)
    if summary["status"] == "completed_successfully":
        return {**summary, "phases": ()}
    return {**summary, **_phases(progress)}


def _phases(progress: BatchProgress) -> dict[str, Any]:
    phases = progress.phases
    return {"phases": phases, "phase": phase_now(progress.status["current_phase"], phases)}


def _essay(given: Mapping[str, Any], ranking: Mapping[str, Any]) -> dict[str, Any]:
    stages = [given["spellcheck_status"], given["cj_assessment_status"]]
    state = "failed" if "failed" in stages else "done" if given["cj_rank"] is not None else "waiting"
    return {
        **given,
        "state": state,
        "grade": ranking.get("letter_grade"),
        "confidence": ranking.get("confidence_label"),
        "confidence_score": ranking.get("confidence_score"),
    }


def _language(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {"words": figures.get("words"), "language_errors": figures.get("language_errors")}


def _grades(essays: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    found = Counter(each["grade"] for each in essays if each["grade"])
    return sorted(
        found.items(), key=lambda item: (item[0][0], "+-".find(item[0][1:]) if item[0][1:] else 0.5)
    )
