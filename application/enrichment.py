"""Adds what the assessment app knows to RAS's own responses.

Events and read models stay thin: RAS asks for the detail when a client wants it. The port answers always,
with the summary or with a reason in plain words, because a batch's status must not depend on another app.
Summaries are passed on as they came; of their form only what is relied on here is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson

_AVAILABLE: Final = b'{"available":true'
_PER_ESSAY: Final = ("ranking", "misfits")
"""Members of a job that are about all essays; of an essay's answer only its own part is of use."""


@dataclass(frozen=True, slots=True)
class AssessmentSummary:
    """The summary of a batch's judging: a JSON object, written compactly. `summary_of` makes it."""

    content: bytes


@dataclass(frozen=True, slots=True)
class AssessmentUnavailable:
    """Why there is no summary: a sentence for people, without hosts or names of this installation."""

    reason: str


Assessment = AssessmentSummary | AssessmentUnavailable


class Assessments(Protocol):
    """Where the judging of batches can be asked for."""

    async def of_batch(self, batch_id: str, *, correlation_id: str) -> Assessment:
        """Return what is known now, within a bounded time; never raises for what goes wrong outside."""


class NoAssessments:
    """An installation without the assessment app."""

    async def of_batch(self, batch_id: str, *, correlation_id: str) -> Assessment:
        """Return that there is none."""
        del batch_id, correlation_id
        return AssessmentUnavailable("No assessment app is set up here (RAS_ASSESSMENTS_URL).")


def summary_of(batch_id: str, body: object) -> AssessmentSummary:
    """Return `body`, JSON as it came, as the summary of a batch. Raises ValueError when it is none."""
    if not isinstance(body, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - one kind of error for everything that is wrong with it
    if body.get("batch_id") != batch_id:
        raise ValueError("it is not about this batch")
    jobs = body.get("jobs")
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise ValueError("it has no list of jobs")
    body.pop("available", None)  # ours to say
    return AssessmentSummary(orjson.dumps(body))


def batch_member(assessment: Assessment) -> bytes:
    """Return what a batch's answer carries under `assessment`, as JSON."""
    if isinstance(assessment, AssessmentUnavailable):
        return _unavailable(assessment.reason)
    # Not read and written again: the summary of a large batch has megabytes.
    return _AVAILABLE + b"," + assessment.content.removeprefix(b"{")


def essay_member(assessment: Assessment, essay_id: str) -> bytes:
    """Return what an essay's answer carries under `assessment`, as JSON.

    Of each job that judged the essay: what is said of the job as a whole, the essay's own line of the
    ranking under `essay`, and under `misfit` whether the job names it as one whose decisions fit badly.
    """
    if isinstance(assessment, AssessmentUnavailable):
        return _unavailable(assessment.reason)
    summary: dict[str, Any] = orjson.loads(assessment.content)
    jobs = [part for job in summary["jobs"] if (part := _of_essay(job, essay_id)) is not None]
    if not jobs:
        return _unavailable("No judging of this batch has a result for this essay.")
    return orjson.dumps({"available": True, **summary, "essay_id": essay_id, "jobs": jobs})


def with_member(body: bytes, name: str, member: bytes) -> bytes:
    """Return the JSON object `body`, written compactly, with one more member at its end.

    `name` must be new to it. The rest keeps its bytes.
    """
    separator = b"" if body == b"{}" else b","
    return b"".join((body.removesuffix(b"}"), separator, orjson.dumps(name), b":", member, b"}"))


def _unavailable(reason: str) -> bytes:
    return orjson.dumps({"available": False, "reason": reason})


def _of_essay(job: Mapping[str, Any], essay_id: str) -> dict[str, Any] | None:
    ranking, misfits = job.get("ranking"), job.get("misfits")
    lines = ranking if isinstance(ranking, list) else []
    line = next((line for line in lines if isinstance(line, dict) and line.get("item") == essay_id), None)
    if line is None:
        return None
    shared = {name: value for name, value in job.items() if name not in _PER_ESSAY}
    misfitting = misfits.get("items") if isinstance(misfits, dict) else None
    return {**shared, "essay": line, "misfit": essay_id in (misfitting or ())}
