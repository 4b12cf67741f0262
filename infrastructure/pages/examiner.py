"""The examiner's pages: judging jobs; of one job its ranking, its figures, its report and each decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infrastructure.http.browser_headers import NOTHING_ALLOWED
from infrastructure.http.identity import EXAMINER, Identity
from infrastructure.http.parameters import id_of
from infrastructure.http.problems import Problem
from infrastructure.pages.job_reports import JobReports
from infrastructure.pages.rendering import Renderer, language_of, number_in, text_in
from infrastructure.queries.pages import PageQueries

_JOBS: Final = 100
_DECISIONS: Final = 50
_LONGEST_TEXT: Final = 255


class ExaminerPages:
    """The pages, on the read model of judging."""

    def __init__(self, renderer: Renderer, pages: PageQueries, reports: JobReports) -> None:
        self._renderer = renderer
        self._pages = pages
        self._reports = reports

    def routes(self) -> list[Route]:
        """Return the routes."""

        def guarded(page: Any) -> Any:
            return self._renderer.guarded(EXAMINER, page)

        return [
            Route("/examiner", guarded(self.jobs)),
            Route("/examiner/jobs/{job_id}", guarded(self.job)),
            Route("/examiner/jobs/{job_id}/figures", guarded(self.figures)),
            Route("/examiner/jobs/{job_id}/report.html", guarded(self.report)),
        ]

    async def jobs(self, request: Request, identity: Identity) -> Response:
        """The newest judging jobs, or those of an id."""
        text = text_in(request, "q", most=_LONGEST_TEXT)
        jobs = await self._pages.jobs(
            limit=_JOBS + 1, before=number_in(request, "cursor"), id_=text.strip() or None
        )
        return self._renderer.page(
            request,
            "jobs.html",
            identity,
            title="Judging jobs",
            jobs=jobs[:_JOBS],
            text=text,
            next_cursor=jobs[_JOBS - 1]["position"] if len(jobs) > _JOBS else None,
        )

    async def job(self, request: Request, identity: Identity) -> Response:
        """One judging job."""
        job = await self._job(request)
        text = text_in(request, "q", most=_LONGEST_TEXT)
        decisions = await self._pages.decisions(
            job["job_id"],
            after=number_in(request, "cursor") or 0,
            limit=_DECISIONS + 1,
            text=text.strip() or None,
        )
        results = [each for each in job["results"] or () if isinstance(each, dict)]
        return self._renderer.page(
            request,
            "job.html",
            identity,
            title="Judging job",
            job=job,
            results=sorted(results, key=lambda each: each.get("rank") or 10**9)[:500],
            decisions=decisions[:_DECISIONS],
            text=text,
            next_cursor=decisions[_DECISIONS - 1]["position"] if len(decisions) > _DECISIONS else None,
        )

    async def figures(self, request: Request, identity: Identity) -> Response:
        """The figures of a judging job, with the table behind each."""
        job = await self._decided(request)
        made = await self._reports.of(job["job_id"], job["position"], language_of(request), "json")
        return self._renderer.page(
            request, "figures.html", identity, title="Figures", job=job, report=orjson.loads(made)
        )

    async def report(self, request: Request, identity: Identity) -> Response:
        """The report of a judging job, one file to hand on."""
        del identity
        job = await self._decided(request)
        made = await self._reports.of(job["job_id"], job["position"], language_of(request), "html")
        return Response(
            made,
            media_type="text/html; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="judging-report-{job["job_id"]}.html"',
                # A file that stands alone has its styles in it.
                "Content-Security-Policy": f"{NOTHING_ALLOWED}; style-src 'unsafe-inline'; sandbox",
            },
        )

    async def _job(self, request: Request) -> Mapping[str, Any]:
        job = await self._pages.job(id_of(request, "job_id", error="Invalid job ID"))
        if job is None:
            raise Problem(404, "There is no such judging job.")
        return job

    async def _decided(self, request: Request) -> Mapping[str, Any]:
        job = await self._job(request)
        if not job["decided"]:
            raise Problem(404, "There is no report of this job yet: no judge has decided anything.")
        return job
