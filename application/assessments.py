"""Queries about comparative-judgement jobs: the port, and the facts that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from application.queries import Edition

if TYPE_CHECKING:  # that module describes `Outcome`
    from application.responses.judging_decisions import PublishedResult as PublishedBody


class Outcome(StrEnum):
    """What became of a request to a judge."""

    DECIDED = "decided"
    FAILED = "failed"


class Asked(NamedTuple):
    """One request to a judge, as far as statistics need it; `chosen_a` is None where the judge failed.

    `judge` is the judge's own name where there is one, else provider and model name the judge. `cost` is
    in US dollars.
    """

    judge: str
    essay_a: str
    essay_b: str
    chosen_a: bool | None
    confidence: float | None
    cost: float
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    response_time_ms: int


class PairCount(NamedTuple):
    """How often two texts met, `item_a` before `item_b` or the same, and how often `item_a` won."""

    item_a: str
    item_b: str
    judged: int
    a_wins: int


@dataclass(frozen=True, slots=True)
class PublishedResult:
    """A job's result as upstream published it: `body` is what readers get, `lines` its essays."""

    body: PublishedBody
    lines: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class JobFacts:
    """Everything known of a job at `position`, the notification id of its newest event.

    `asked` is in the order of the log. A job without a result is still running, as far as RAS knows.
    """

    job_id: str
    batch_id: str | None
    position: int
    result: PublishedResult | None
    asked: Sequence[Asked]


@dataclass(frozen=True, slots=True)
class DecisionPage:
    """Some of a job's requests in the order of the log, as JSON; `next_cursor` is None on the last page."""

    job_id: str
    batch_id: str | None
    edition: Edition
    finished: bool
    decisions: bytes
    next_cursor: int | None


class PageRequest(NamedTuple):
    """At most `limit` requests behind the cursor `after`, of one outcome or of both."""

    after: int = 0
    limit: int = 100
    outcome: Outcome | None = None


class JobReader(Protocol):
    """What may be asked at any moment."""

    async def page(self, job_id: str, wanted: PageRequest) -> DecisionPage | None:
        """Return a page of a job's requests, None if no such job is known."""

    async def editions(self, batch_id: str) -> Mapping[str, Edition]:
        """Return the jobs of a batch and the edition of each, the one with the newest event first."""


class JobSnapshot(JobReader, Protocol):
    """Everything as it was at one moment: what is read here belongs together."""

    async def facts(self, job_id: str) -> JobFacts:
        """Return everything about a job that is known. Raises LookupError for one that is not."""

    async def matrix(self, job_id: str) -> Sequence[PairCount]:
        """Return the pairs of a job that were judged, in the order of their names."""


class AssessmentQueries(JobReader, Protocol):
    """The judging jobs, as they are now."""

    def snapshot(self) -> AbstractAsyncContextManager[JobSnapshot]:
        """Lend them as they are at the moment of its first question."""
