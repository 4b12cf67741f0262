"""The events of comparative-judgement jobs, short to write: who preferred what, when, in which job."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.values import EssayResult
from tests.support.given import caused_by, minute, ranked

SESSIONS: Final = ("Coertjens2015_stress", "Daal2017_sample1", "PollittX_efl-writing")
_SESSIONS_FOLDER: Final = Path(__file__).parents[3] / "shared" / "cj-data"


class Job:
    """One job; every call adds an event to its stream and returns it."""

    def __init__(self, job_id: str = "164", batch_id: str | None = "b1") -> None:
        self.job_id = job_id
        self.batch_id = batch_id
        self._versions = count(1)

    def decides(
        self,
        chosen: str,
        not_chosen: str,
        *,
        request: str | None = None,
        winner: Side = Side.A,
        **facts: Any,
    ) -> JudgeDecisionRecorded:
        """Let a judge prefer `chosen`, which stood on the side `winner`."""
        version = next(self._versions)
        sides = (chosen, not_chosen) if winner is Side.A else (not_chosen, chosen)
        given = {
            "judge": None,
            "provider": "mock",
            "model": "synthetic-model-1",
            "justification": "clearer, and closer to the text",
            "confidence": 2.5,
            "cost": 0.0065,
        }
        return JudgeDecisionRecorded(
            **self._asked(version, request, *sides, **(given | facts)), winner=winner
        )

    def fails(
        self, essay_a: str, essay_b: str, *, request: str | None = None, **facts: Any
    ) -> JudgeDecisionFailed:
        """Let a judge give no decision."""
        version = next(self._versions)
        given = {
            "judge": None,
            "provider": "mock",
            "model": "unknown",
            "error_code": "TIMEOUT",
            "error": {"error_code": "TIMEOUT", "message": "no answer in time"},
            "cost": 0.0,
        }
        return JudgeDecisionFailed(**self._asked(version, request, essay_a, essay_b, **(given | facts)))

    def ends(self, *results: EssayResult | str, at: int = 50, **facts: Any) -> AssessmentResultRecorded:
        """Let upstream publish the job's result; texts given by name are ranked in the order given."""
        version = next(self._versions)
        given = {
            "assignment_id": None,
            "method": "cj_assessment",
            "model_used": "synthetic-model-1",
            "model_provider": "mock",
            "model_version": None,
            "metadata": {"comparison_count": 12},
        }
        lines = tuple(
            ranked(result, rank) if isinstance(result, str) else result
            for rank, result in enumerate(results, start=1)
        )
        return AssessmentResultRecorded(
            **self._recorded(version, at),
            **{"batch_id": self.batch_id or "b1", **given, **facts},
            results=lines,
        )

    def _asked(
        self, version: int, request: str | None, essay_a: str, essay_b: str, **facts: Any
    ) -> dict[str, Any]:
        return {
            **self._recorded(version, version),
            "batch_id": self.batch_id,
            "request_id": request or f"request-{version:05}",
            "essay_a_id": essay_a,
            "essay_b_id": essay_b,
            "response_time_ms": 3143,
            "prompt_tokens": 1645,
            "completion_tokens": 100,
            "total_tokens": 1745,
            "requested_at": minute(version) - timedelta(seconds=3),
            "request_metadata": {"cj_batch_id": self.job_id, "cj_source": "els"},
            **facts,
        }

    def _recorded(self, version: int, at: int) -> dict[str, Any]:
        return {
            "originator_id": f"assessment-{self.job_id}",
            "originator_version": version,
            "happened_at": minute(at),
            "causation": caused_by(version),
        }


def session_of(name: str, job: Job) -> Iterator[JudgeDecisionRecorded]:
    """Yield the decisions of a real judging session as events of `job`. Skips the test where they are not."""
    rows = csv.DictReader(_session_file(name, "decisions.csv").splitlines())
    for number, row in enumerate(rows):
        side = Side.A if number % 2 else Side.B
        yield job.decides(row["chosen"], row["not_chosen"], judge=row["judge"], winner=side)


def reference_of(name: str) -> dict[str, Any]:
    """Return what others computed for that session."""
    reference: dict[str, Any] = json.loads(_session_file(name, "reference.json"))
    return reference


def _session_file(name: str, file: str) -> str:
    path = _SESSIONS_FOLDER / name / file
    if not path.exists():
        pytest.skip(f"the judging sessions are not here: no file {path}")
    return path.read_text(encoding="utf-8")


def round_robin(job: Job, items: Sequence[str], judges: Sequence[str]) -> Iterator[JudgeDecisionRecorded]:
    """Yield a decision of each judge on each pair: mostly the earlier item wins, now and then the later."""
    for number, judge in enumerate(judges):
        for i, one in enumerate(items):
            for j, other in enumerate(items[i + 1 :], start=i + 1):
                upset = (i * 7 + j * 3 + number) % 5 == 0
                yield job.decides(*((other, one) if upset else (one, other)), judge=judge)
