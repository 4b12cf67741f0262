"""What a batch has to announce: its facts, put together for the two events that leave RAS.

Pure functions of the state. They return the fields of an event, or None where there is nothing to announce that
has not been announced. Times are those of the facts, never of their arrival, so that the order of arrival shows nowhere.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from domain.batch_state import BatchState, Registration
from domain.phase_times import seconds_between, spellcheck_seconds
from domain.values import Phase, PhaseResult

_SEEN_BY_ESSAY: Final = frozenset(phase.value for phase in Phase)


def ranking_due(state: BatchState) -> dict[str, Any] | None:
    """Return the fields of the BatchAssessmentCompleted that is due."""
    registration, assessment = state.registration, state.assessment
    if registration is None or assessment is None:
        return None
    rankings = tuple(r for r in assessment.rankings if r.essay_id in registration.essay_ids)
    if not rankings or state.announced_ranking == (assessment.job_id, rankings):
        return None
    return {
        "user_id": registration.user_id,
        "class_id": registration.class_id,
        "job_id": assessment.job_id,
        "rankings": rankings,
        "correlation_id": state.runs.author(assessment.at, assessment.run),
        "happened_at": max(assessment.at, registration.at),
    }


def outcome_due(state: BatchState) -> dict[str, Any] | None:
    """Return the fields of the BatchResultsReady that is due."""
    registration, outcome = state.registration, state.outcome
    if registration is None or outcome is None or outcome == state.announced:
        return None
    total, completed, failed = state.tally.counts
    ended_at = _ended_at(state, registration)
    return {
        "user_id": registration.user_id,
        "class_id": registration.class_id,
        "revision": state.revision + 1,
        "overall_status": outcome.status,
        "total_essays": total,
        "completed_essays": completed,
        "failed_essays": failed,
        "phase_results": _phase_results(state, registration),
        "job_id": outcome.job_id,
        "processing_duration_seconds": (ended_at - registration.at).total_seconds(),
        "correlation_id": state.author,
        "happened_at": ended_at,
    }


def _ended_at(state: BatchState, registration: Registration) -> datetime:
    """Return the time of the last fact that the outcome rests on."""
    times = [registration.at, *(at for at, _ in _checks(state, registration))]
    if state.assessment is not None:
        times.append(state.assessment.at)
    outcomes, named = state.runs.outcomes, state.runs.named
    times += [
        outcomes[phase].at if phase in outcomes else named[phase]
        for phase in state.requirements.phases
        if phase not in _SEEN_BY_ESSAY
    ]
    if state.stopped is not None:
        times.append(state.stopped.at)
    return max(times)


def _phase_results(state: BatchState, registration: Registration) -> tuple[PhaseResult, ...]:
    checks = _checks(state, registration)
    last_check = max((at for at, _ in checks), default=None)
    outcomes = state.runs.outcomes
    seconds: dict[str, float | None] = {
        Phase.SPELLCHECK.value: spellcheck_seconds(checks),
        Phase.CJ_ASSESSMENT.value: state.assessment.seconds if state.assessment else None,
    }
    for phase, outcome in outcomes.items():
        is_same_run = state.spellchecked_last is not None and state.spellchecked_last[1] == outcome.run
        seconds.setdefault(phase, seconds_between(last_check if is_same_run else None, outcome.at))
    return tuple(
        replace(result, processing_time_seconds=seconds.get(result.phase))
        for result in state.tally.phase_results(state.requirements.phases)
    )


def _checks(state: BatchState, registration: Registration) -> list[tuple[datetime, int | None]]:
    """Return the end and the duration of each expected essay's spellcheck."""
    essays = (state.essays[essay_id] for essay_id in registration.essay_ids)
    return [(essay.spellcheck_at, essay.spellcheck_ms) for essay in essays if essay.spellcheck_at is not None]
