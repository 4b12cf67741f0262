"""The examiner's pages: judging jobs, and in one job its ranking and each decision with its justification."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infrastructure.http.identity import EXAMINER, Identity
from infrastructure.http.parameters import id_of
from infrastructure.http.problems import Problem
from infrastructure.pages.rendering import Renderer, number_in
from infrastructure.queries.pages import PageQueries

_JOBS: Final = 100
_DECISIONS: Final = 50


class ExaminerPages:
    """The pages, on the read model of judging."""

    def __init__(self, renderer: Renderer, pages: PageQueries) -> None:
        self._renderer = renderer
        self._pages = pages

    def routes(self) -> list[Route]:
        """Return the routes."""

        def guarded(page: Any) -> Any:
            return self._renderer.guarded(EXAMINER, page)

        return [
            Route("/examiner", guarded(self.jobs)),
            Route("/examiner/jobs/{job_id}", guarded(self.job)),
        ]

    async def jobs(self, request: Request, identity: Identity) -> Response:
        """The newest judging jobs."""
        jobs = await self._pages.jobs(limit=_JOBS)
        return self._renderer.page(request, "jobs.html", identity, title="Judging jobs", jobs=jobs)

    async def job(self, request: Request, identity: Identity) -> Response:
        """One judging job."""
        job = await self._pages.job(id_of(request, "job_id", error="Invalid job ID"))
        if job is None:
            raise Problem(404, "There is no such judging job.")
        decisions = await self._pages.decisions(
            job["job_id"], after=number_in(request, "cursor") or 0, limit=_DECISIONS + 1
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
            next_cursor=decisions[_DECISIONS - 1]["position"] if len(decisions) > _DECISIONS else None,
        )
