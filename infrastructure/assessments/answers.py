"""Answers of the assessment app as bytes: computed in a thread, once per job and position, then kept.

Statistics of a job of 35,000 decisions take about a second of one core. They are a function of the job's
facts, and those of its position, so they are kept until the position moves. Who asks while they are being
computed waits for that one computation. The facts and what is put beside them (a page of decisions, the
other jobs of a batch) are read in one snapshot: an answer is of one moment, and says of which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final
from weakref import WeakValueDictionary

import orjson

from application.assessments import AssessmentQueries, DecisionPage, PageRequest
from application.judging_answers import detailed, summarised
from application.judging_scores import ANSWER_VERSION
from domain.bradley_terry import METHOD_VERSION
from infrastructure.http.kept_answers import KeptAnswer, KeptAnswers
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

    def __init__(self, queries: AssessmentQueries, *, kept_bytes: int = KEPT_BYTES) -> None:
        self._queries = queries
        self._details = KeptAnswers(kept_bytes)
        self._summaries = KeptAnswers(kept_bytes)
        self._computing: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(_COMPUTING_AT_ONCE, thread_name_prefix="judging")

    async def detailed(self, job_id: str, wanted: PageRequest) -> Computed | None:
        """Return everything about a job with its first decisions, None if no such job is known."""
        page = await self._queries.page(job_id, wanted)
        if page is None:
            return None
        known = _at(self._details.find(job_id), page.position)
        if known is None:
            async with self._turn("detailed", job_id):
                async with self._queries.snapshot() as reader:
                    page = await reader.page(job_id, wanted)
                    if page is None:
                        return None
                    known = _at(self._details.find(job_id), page.position)
                    facts = None if known else (await reader.facts(job_id), await reader.matrix(job_id))
                if facts is not None:
                    known = await self._compute(partial(_dumped, detailed, *facts), page.position)
                    self._details.keep(job_id, known)
        assert known is not None
        members = {"decisions": orjson.Fragment(page.decisions), "next_cursor": _cursor(page)}
        content = known.content[:-1] + b"," + orjson.dumps(members)[1:]
        return Computed(content, f"{VERSION}-{page.position}", page.next_cursor)

    async def decisions(self, job_id: str, wanted: PageRequest) -> Computed | None:
        """Return a page of decisions without the statistics, None if no such job is known."""
        page = await self._queries.page(job_id, wanted)
        if page is None:
            return None
        body = {
            "job_id": job_id,
            "batch_id": page.batch_id,
            "state": "finished" if page.finished else "running",
            "provenance": {"position": page.position},
            "decisions": orjson.Fragment(page.decisions),
            "next_cursor": _cursor(page),
        }
        return Computed(orjson.dumps(body), f"{VERSION}-{page.position}", page.next_cursor)

    async def summary(self, batch_id: str) -> Computed | None:
        """Return the jobs of a batch, None if none is known."""
        positions = await self._queries.positions(batch_id)
        jobs = self._kept_of(positions)
        if jobs.keys() != positions.keys():
            async with self._turn("summary", batch_id):
                async with self._queries.snapshot() as reader:
                    positions = await reader.positions(batch_id)
                    jobs = self._kept_of(positions)
                    missing = [await reader.facts(job_id) for job_id in positions if job_id not in jobs]
                for facts in missing:
                    work = partial(_dumped, summarised, facts)
                    jobs[facts.job_id] = await self._compute(work, facts.position)
                    self._summaries.keep(facts.job_id, jobs[facts.job_id])
        if not positions:
            return None
        body = {
            "batch_id": batch_id,
            "jobs": [orjson.Fragment(jobs[job_id].content) for job_id in positions],
            "provenance": {
                "position": max(positions.values()),
                "jobs": [{"job_id": job_id, "position": at} for job_id, at in positions.items()],
            },
        }
        return Computed(orjson.dumps(body), f"{VERSION}-{_digest(positions)}")

    def close(self) -> None:
        """Let go of the threads; what is being computed is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _kept_of(self, positions: Mapping[str, int]) -> dict[str, KeptAnswer]:
        found = {job_id: _at(self._summaries.find(job_id), at) for job_id, at in positions.items()}
        return {job_id: known for job_id, known in found.items() if known is not None}

    async def _compute(self, work: Callable[[], bytes], position: int) -> KeptAnswer:
        content = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        return KeptAnswer(content, position)

    def _turn(self, kind: str, name: str) -> asyncio.Lock:
        """Return the lock of one answer; it lives for as long as somebody holds or awaits it."""
        return self._computing.setdefault((kind, name), asyncio.Lock())


def _dumped(answer: Callable[..., Any], *facts: Any) -> bytes:
    return orjson.dumps(answer(*facts))


def _at(known: KeptAnswer | None, position: int) -> KeptAnswer | None:
    return known if known is not None and known.edition == position else None


def _cursor(page: DecisionPage) -> str | None:
    return None if page.next_cursor is None else str(page.next_cursor)


def _digest(positions: Mapping[str, Any]) -> str:
    return blake2b(orjson.dumps(list(positions.items())), digest_size=12).hexdigest()
