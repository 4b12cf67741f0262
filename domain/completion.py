"""When is a batch done, and how did it go? Pure functions of what is known about its essays.

An essay is terminal in a phase when it succeeded or failed there, or failed in an earlier phase and so
never gets there. Spellcheck and comparative judgement are known essay by essay; of any other phase
only the end and the failed essays are known. The tally keeps counts, not lists, so that one more
result costs the same in a batch of ten thousand essays as in one of thirty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from domain.values import DEFAULT_REQUIRED_PHASES, BatchStatus, Phase, PhaseResult, in_pipeline_order


class State(Enum):
    """Where one essay stands over all required phases together."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class Standing(NamedTuple):
    """One essay measured against the requirements."""

    state: State
    completed_phases: tuple[str, ...]
    failed_phase: str | None


def required_phases(completed_phases: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return what a batch needs, in pipeline order, given its pipeline message's `completed_phases`.

    A pipeline that names no phase (one that failed at once) says nothing about what was asked for:
    the default stands, so that no batch is called done for want of requirements.
    """
    return in_pipeline_order(completed_phases or DEFAULT_REQUIRED_PHASES)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the essays of a batch are measured against.

    `ranked` holds the essays of the newest assessment, None while there is none. `concluded` names the
    phases that are over as a whole, `failed_in` the essays that such a phase reported as failed.
    """

    phases: tuple[str, ...]
    ranked: frozenset[str] | None
    concluded: frozenset[str]
    failed_in: Mapping[str, frozenset[str]]

    def standing(self, essay_id: str, *, spellchecked: bool | None) -> Standing:
        """Measure one essay; `spellchecked` is its spellcheck's success, None while unknown."""
        completed: list[str] = []
        failed_phase: str | None = None
        pending = False
        for phase in self.phases:
            verdict = self._verdict(phase, essay_id, spellchecked)
            if verdict is None:
                pending = pending or failed_phase is None
            elif verdict:
                completed.append(phase)
            elif failed_phase is None and not pending:
                failed_phase = phase
        if failed_phase is not None:
            return Standing(State.FAILED, tuple(completed), failed_phase)
        return Standing(State.PENDING if pending else State.COMPLETED, tuple(completed), None)

    def _verdict(self, phase: str, essay_id: str, spellchecked: bool | None) -> bool | None:
        if phase == Phase.SPELLCHECK:
            return spellchecked
        if phase == Phase.CJ_ASSESSMENT:
            return None if self.ranked is None else essay_id in self.ranked
        if phase not in self.concluded:
            return None
        return essay_id not in self.failed_in.get(phase, frozenset())


@dataclass(slots=True)
class Tally:
    """How many expected essays stand where."""

    total: int = 0
    states: dict[State, int] = field(default_factory=lambda: dict.fromkeys(State, 0))
    completed_in: dict[str, int] = field(default_factory=dict)
    failed_in: dict[str, int] = field(default_factory=dict)

    def count(self, standing: Standing, step: int = 1) -> None:
        """Add (`step` 1) or take away (`step` -1) one essay."""
        self.total += step
        self.states[standing.state] += step
        for phase in standing.completed_phases:
            self.completed_in[phase] = self.completed_in.get(phase, 0) + step
        if standing.failed_phase is not None:
            self.failed_in[standing.failed_phase] = self.failed_in.get(standing.failed_phase, 0) + step

    def phase_results(self, phases: tuple[str, ...]) -> tuple[PhaseResult, ...]:
        """Return the counts of each of `phases`, in that order."""
        return tuple(
            PhaseResult(
                phase=phase,
                completed_count=self.completed_in.get(phase, 0),
                failed_count=self.failed_in.get(phase, 0),
            )
            for phase in phases
        )


_CONTRADICTS_TOTAL_FAILURE: Final = frozenset(
    {BatchStatus.COMPLETED_SUCCESSFULLY, BatchStatus.COMPLETED_WITH_FAILURES}
)


def overall_status(
    tally: Tally, *, pipeline: BatchStatus | None, phases: Mapping[str, BatchStatus]
) -> BatchStatus | None:
    """Return how the batch ended, or None while it has not.

    `pipeline` is the pipeline message's status, `phases` those of the phase outcomes. The essays
    decide, except that upstream may stop a batch. A phase that every essay failed is what upstream
    calls a critical failure; it is named so at once, without waiting for upstream to say it, unless
    upstream has said otherwise: one outcome, one announcement, whichever message comes first.
    """
    if pipeline is not None and pipeline.stops_the_batch:
        return pipeline
    stopped = {status for status in phases.values() if status.stops_the_batch}
    if stopped:
        return BatchStatus.FAILED_CRITICALLY if BatchStatus.FAILED_CRITICALLY in stopped else stopped.pop()
    if tally.total == 0 or tally.states[State.PENDING]:
        return None
    if not tally.states[State.FAILED]:
        return BatchStatus.COMPLETED_SUCCESSFULLY
    for phase, failed in tally.failed_in.items():
        if (
            failed == tally.total
            and phases.get(phase) not in _CONTRADICTS_TOTAL_FAILURE
            and pipeline not in _CONTRADICTS_TOTAL_FAILURE
        ):
            return BatchStatus.FAILED_CRITICALLY
    return BatchStatus.COMPLETED_WITH_FAILURES
