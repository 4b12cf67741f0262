"""When is a batch done, and how did it go? Pure functions of what is known about its essays.

An essay is terminal in a phase when it succeeded or failed there, or failed in an earlier phase and so
never gets there. Spellcheck and comparative judgement are known essay by essay; of any other phase
only the end and the failed essays are known. The tally keeps counts, not lists, so that one more
result costs the same in a batch of ten thousand essays as in one of thirty.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from domain.values import (
    DEFAULT_REQUIRED_PHASES,
    PHASE_ORDER,
    BatchStatus,
    Phase,
    PhaseResult,
    in_pipeline_order,
)


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


_SEEN_BY_ESSAY: Final = frozenset(phase.value for phase in Phase)
_IN_NONE: Final[frozenset[str]] = frozenset()
_UNSEEN_BEFORE_JUDGEMENT: Final = tuple(
    phase for phase in PHASE_ORDER[: PHASE_ORDER.index(Phase.CJ_ASSESSMENT)] if phase != Phase.SPELLCHECK
)
"""The phases before comparative judgement of which no result per essay is known."""


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

    def with_ranked(self, essay_id: str) -> Requirements:
        """Return the same requirements where the newest assessment ranks `essay_id` alone."""
        return replace(self, ranked=frozenset((essay_id,)))

    def standing(self, essay_id: str, *, spellchecked: bool | None) -> Standing:
        """Measure one essay; `spellchecked` is its spellcheck's success, None while unknown."""
        ranked = None if self.ranked is None else essay_id in self.ranked
        failed = _IN_NONE
        if self.failed_in:
            failed = frozenset(phase for phase, essays in self.failed_in.items() if essay_id in essays)
        return _standing(self.phases, self.concluded, spellchecked, ranked, failed)

    def judgement(self, essay_id: str, *, spellchecked: bool | None) -> bool | None:
        """Return whether the newest assessment ranked the essay, required or not.

        None while there is no assessment, and for an essay that failed in an earlier phase: it never got there.
        """
        if self.ranked is None:
            return None
        if essay_id in self.ranked:
            return True
        failed_before = spellchecked is False or any(
            essay_id in self.failed_in.get(phase, ()) for phase in _UNSEEN_BEFORE_JUDGEMENT
        )
        return None if failed_before else False

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


def requirements(
    named: Collection[str],
    outcomes: Mapping[str, Collection[str]],
    *,
    spellchecked: bool,
    ranked: frozenset[str] | None,
) -> Requirements:
    """Return what the essays of a batch are measured against.

    `named` are the phases that pipeline messages have named.
    `outcomes` holds, for each phase with an outcome that reports results, the essays that failed there.
    `spellchecked`: an expected essay has a spellcheck result. `ranked` are the essays of the newest assessment.

    Required are the phases that were named and those whose results are in, and the default until a pipeline message
    names phases: so no batch is called done for want of requirements.
    """
    results_in = [phase for phase in outcomes if phase not in _SEEN_BY_ESSAY]
    results_in += [Phase.SPELLCHECK.value] * spellchecked
    results_in += [Phase.CJ_ASSESSMENT.value] * (ranked is not None)
    by_default = () if named else DEFAULT_REQUIRED_PHASES
    return Requirements(
        phases=in_pipeline_order(frozenset((*named, *results_in, *by_default))),
        ranked=ranked,
        concluded=frozenset((*named, *outcomes)),
        failed_in={phase: frozenset(failed) for phase, failed in outcomes.items() if failed},
    )


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
        """Return the counts of those of `phases` that any essay went through, in that order."""
        return tuple(
            PhaseResult(phase=phase, completed_count=completed, failed_count=failed)
            for phase in phases
            if (completed := self.completed_in.get(phase, 0)) + (failed := self.failed_in.get(phase, 0))
        )


class Outcome(NamedTuple):
    """What a results-ready announces; two announcements with the same outcome say the same.

    `phases` are those that ran, `job_id` is the judging job behind the ranking. A stopped batch has neither: its
    status alone is its outcome.
    """

    status: BatchStatus
    phases: tuple[str, ...] = ()
    job_id: str | None = None

    @classmethod
    def of(cls, status: BatchStatus, results: Iterable[PhaseResult], job_id: str | None) -> Outcome:
        """Return the outcome of a batch that ended with `status` and these results of its phases."""
        if status.stops_the_batch:
            return cls(status)
        ran = (result.phase for result in results if result.completed_count or result.failed_count)
        return cls(status, tuple(ran), job_id)


_CONTRADICTS_TOTAL_FAILURE: Final = frozenset(
    {BatchStatus.COMPLETED_SUCCESSFULLY, BatchStatus.COMPLETED_WITH_FAILURES}
)


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
