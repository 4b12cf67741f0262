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
from functools import lru_cache
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


_IN_NONE: Final[frozenset[str]] = frozenset()


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
        ranked = None if self.ranked is None else essay_id in self.ranked
        failed = _IN_NONE
        if self.failed_in:
            failed = frozenset(phase for phase, essays in self.failed_in.items() if essay_id in essays)
        return _standing(self.phases, self.concluded, spellchecked, ranked, failed)

    def verdict(self, phase: str, essay_id: str, *, spellchecked: bool | None) -> bool | None:
        """Return whether an essay came through `phase`, taken by itself; None while that is not known."""
        own: dict[str, bool | None] = {
            Phase.SPELLCHECK.value: spellchecked,
            Phase.CJ_ASSESSMENT.value: None if self.ranked is None else essay_id in self.ranked,
        }
        return _verdict(phase, own, self.concluded, has_failed=essay_id in self.failed_in.get(phase, ()))


def _verdict(
    phase: str, own: Mapping[str, bool | None], concluded: frozenset[str], *, has_failed: bool
) -> bool | None:
    """A result of the essay's own decides; in a phase that has none, the end of the phase and its failures."""
    if phase in own:
        return own[phase]
    return not has_failed if phase in concluded else None


@lru_cache(maxsize=4096)
def _standing(
    phases: tuple[str, ...],
    concluded: frozenset[str],
    spellchecked: bool | None,
    ranked: bool | None,
    failed: frozenset[str],
) -> Standing:
    """The first required phase in which the essay did not succeed decides: failed there, or not there yet.

    Where it failed, only results of its own can show that an essay came through a later phase.
    Cached because essays differ in few ways and this is asked for every essay of every batch.
    """
    own = {Phase.SPELLCHECK.value: spellchecked, Phase.CJ_ASSESSMENT.value: ranked}
    state, failed_phase = State.COMPLETED, None
    completed = []
    for phase in phases:
        verdict = _verdict(phase, own, concluded, has_failed=phase in failed)
        if verdict and (state is not State.FAILED or phase in own):
            completed.append(phase)
        elif not verdict and state is State.COMPLETED:
            state = State.PENDING if verdict is None else State.FAILED
            failed_phase = None if verdict is None else phase
    return Standing(state, tuple(completed), failed_phase)


@dataclass(slots=True)
class Tally:
    """How many expected essays stand where."""

    total: int = 0
    pending: int = 0
    completed: int = 0
    failed: int = 0
    completed_in: dict[str, int] = field(default_factory=dict)
    failed_in: dict[str, int] = field(default_factory=dict)

    def count(self, standing: Standing, step: int = 1) -> None:
        """Add `step` essays of the same standing, or take them away (negative `step`)."""
        self.total += step
        if standing.state is State.PENDING:
            self.pending += step
        elif standing.state is State.COMPLETED:
            self.completed += step
        else:
            self.failed += step
        for phase in standing.completed_phases:
            self.completed_in[phase] = self.completed_in.get(phase, 0) + step
        if standing.failed_phase is not None:
            self.failed_in[standing.failed_phase] = self.failed_in.get(standing.failed_phase, 0) + step

    @property
    def counts(self) -> tuple[int, int, int]:
        """Essays in all, done in every required phase, failed in one."""
        return self.total, self.completed, self.failed

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


def stopping_status(pipeline: BatchStatus | None, phases: Mapping[str, BatchStatus]) -> BatchStatus | None:
    """Return how upstream stopped the batch, whatever its essays say, or None if it did not.

    `pipeline` is the pipeline message's status, `phases` those of the phase outcomes.
    """
    if pipeline is not None and pipeline.stops_the_batch:
        return pipeline
    stopped = [status for status in phases.values() if status.stops_the_batch]
    if not stopped:
        return None
    return BatchStatus.FAILED_CRITICALLY if BatchStatus.FAILED_CRITICALLY in stopped else stopped[0]


def completion_status(
    tally: Tally, *, pipeline: BatchStatus | None, phases: Mapping[str, BatchStatus]
) -> BatchStatus | None:
    """Return how the batch ended by its essays, or None while one is pending or none is expected.

    A phase that every essay failed is what upstream calls a critical failure. It is named so at once,
    without waiting for upstream to say it, unless upstream has said otherwise: one outcome, one
    announcement, whichever message comes first.
    """
    if tally.total == 0 or tally.pending:
        return None
    if not tally.failed:
        return BatchStatus.COMPLETED_SUCCESSFULLY
    for phase, failed in tally.failed_in.items():
        if (
            failed == tally.total
            and phases.get(phase) not in _CONTRADICTS_TOTAL_FAILURE
            and pipeline not in _CONTRADICTS_TOTAL_FAILURE
        ):
            return BatchStatus.FAILED_CRITICALLY
    return BatchStatus.COMPLETED_WITH_FAILURES
