"""Responses of the assessment app as bytes: computed in a thread, once per job and position, then kept.

Statistics of a job of 35,000 decisions take about a second of one core. They are a function of the job's
facts, and those of its position (and of the generation of the read model, which a rebuild raises), so they are
kept until one of these moves. Who asks while they are being
computed waits for that one computation. The facts and what is put beside them (a page of decisions, the
other jobs of a batch) are read in one snapshot: an answer is of one moment, and says of which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson

from application.assessments import AssessmentQueries, DecisionPage, JobFacts, PageRequest
from application.judging_answers import detailed, summarised
from application.judging_scores import ANSWER_VERSION, Wanted
from application.queries import Edition
from domain.bradley_terry import METHOD_VERSION
from infrastructure.http.assessments.metrics import AnswerKind, JudgingMetrics
from infrastructure.http.response_cache import KeptAnswer, KeptAnswers
from projections.assessments import assessments

KEPT_BYTES: Final = 64_000_000
"""Of each kind of answer; about a hundred jobs of 35,000 decisions, or thousands of ordinary ones."""

VERSION: Final = f"{METHOD_VERSION}+{ANSWER_VERSION}.{assessments.version}"
"""Everything besides the position that decides about the bytes of an answer."""

_COMPUTING_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Computed:
    """A JSON body, what it was computed from (for an ETag), and where the next page begins."""

    content: bytes
    version: str
    next_cursor: int | None = None


class JudgingAnswers:
    """What the app says of jobs and batches. Close it when done."""

    def __init__(
        self, queries: AssessmentQueries, metrics: JudgingMetrics, *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._queries = queries
        self._threads = ThreadPoolExecutor(_COMPUTING_AT_ONCE, thread_name_prefix="judging")
        self._details = _Statistics(AnswerKind.DETAILED, detailed, self._threads, metrics, kept_bytes)
        self._summaries = _Statistics(AnswerKind.SUMMARY, summarised, self._threads, metrics, kept_bytes)

    async def detailed(
        self,
        job_id: str,
        wanted: PageRequest,
        statistic: Wanted = Wanted(),  # noqa: B008 (it cannot change)
    ) -> Computed | None:
        """Return everything about a job with its first decisions, None if no such job is known.

        Raises JudgingDataError for a what-if that cannot be answered.
        """
        name = job_id + statistic.key
        page = await self._queries.page(job_id, wanted)
        if page is None:
            return None
        statistics = self._details.find(name, page.edition)
        if statistics is None:
            async with self._details.turn(name):
                async with self._queries.snapshot() as snapshot:
                    page = await snapshot.page(job_id, wanted)
                    if page is None:
                        return None
                    statistics = self._details.find(name, page.edition)
                    if statistics is None:
                        facts = await snapshot.facts(job_id), await snapshot.matrix(job_id), statistic
                if statistics is None:
                    statistics = await self._details.compute(name, page.edition, *facts)
        members = {"decisions": orjson.Fragment(page.decisions), "next_cursor": _cursor(page)}
        content = statistics[:-1] + b"," + orjson.dumps(members)[1:]
        return Computed(content, f"{VERSION}-{page.edition}", page.next_cursor)

    async def decisions(self, job_id: str, wanted: PageRequest) -> Computed | None:
        """Return a page of decisions without the statistics, None if no such job is known."""
        page = await self._queries.page(job_id, wanted)
        if page is None:
            return None
        body = {
            "job_id": job_id,
            "batch_id": page.batch_id,
            "state": "finished" if page.finished else "running",
            "provenance": {"position": page.edition.position},
            "decisions": orjson.Fragment(page.decisions),
            "next_cursor": _cursor(page),
        }
        return Computed(orjson.dumps(body), f"{VERSION}-{page.edition}", page.next_cursor)

    async def summary(self, batch_id: str) -> Computed | None:
        """Return the jobs of a batch, None if none is known."""
        editions = await self._queries.editions(batch_id)
        jobs = {job_id: self._summaries.find(job_id, at) for job_id, at in editions.items()}
        if None in jobs.values():
            async with self._summaries.turn(batch_id):
                async with self._queries.snapshot() as snapshot:
                    editions = await snapshot.editions(batch_id)
                    jobs = {job_id: self._summaries.find(job_id, at) for job_id, at in editions.items()}
                    missing = [
                        await snapshot.facts(job_id) for job_id, known in jobs.items() if known is None
                    ]
                for facts in missing:
                    jobs[facts.job_id] = await self._summaries.compute(
                        facts.job_id, editions[facts.job_id], facts
                    )
        if not editions:
            return None
        body = {
            "batch_id": batch_id,
            "jobs": [orjson.Fragment(job) for job in jobs.values() if job is not None],
            "provenance": {
                "position": max(at.position for at in editions.values()),
                "jobs": [{"job_id": job_id, "position": at.position} for job_id, at in editions.items()],
            },
        }
        return Computed(orjson.dumps(body), f"{VERSION}-{_digest(editions)}")

    def close(self) -> None:
        """Let go of the threads; what is being computed is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Statistics:
    """One kind of statistics: those kept, and who computes the others."""

    def __init__(
        self,
        kind: AnswerKind,
        answer: Callable[..., Mapping[str, Any]],
        threads: Executor,
        metrics: JudgingMetrics,
        kept_bytes: int,
    ) -> None:
        self._answer = answer
        self._threads = threads
        self._kept = KeptAnswers(kept_bytes)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._computing_seconds = metrics.computing_seconds.labels(kind.value)
        self._kept_total = metrics.kept.labels(kind.value)

    def turn(self, name: str) -> asyncio.Lock:
        """Return the lock of what is computed under `name`; it lives for as long as somebody uses it."""
        return self._turns.setdefault(name, asyncio.Lock())

    def find(self, name: str, edition: Edition) -> bytes | None:
        """Return what is kept under `name`, if it is of this `edition`."""
        known = self._kept.find(name)
        if known is None or known.edition != edition:
            return None
        self._kept_total.inc()
        return known.content

    async def compute(self, name: str, edition: Edition, facts: JobFacts, *more: Any) -> bytes:
        """Return what `facts` and `more` come to, and keep it under `name`."""
        with self._computing_seconds.time():
            content = await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: orjson.dumps(self._answer(facts, *more))
            )
        self._kept.keep(name, KeptAnswer(content, edition))
        return content


def _cursor(page: DecisionPage) -> str | None:
    return None if page.next_cursor is None else str(page.next_cursor)


def _digest(editions: Mapping[str, Edition]) -> str:
    return blake2b(
        orjson.dumps([(job_id, *at) for job_id, at in editions.items()]), digest_size=12
    ).hexdigest()
