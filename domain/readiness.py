"""Why a batch is ready or not: its facts compared with what it needs.

Nothing is decided here. The rules are those of `completion.py`, asked essay by essay and put into words;
whether the batch is ready is `BatchState.overall_status`, as it is when the batch announces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from domain.batch_events import MessageParked
from domain.batch_state import BatchState
from domain.completion import State
from domain.narrative import NAMED, in_words, listed
from domain.values import DEFAULT_REQUIRED_PHASES, BatchStatus, Phase, in_pipeline_order
from domain.wording import counted


class Message(StrEnum):
    """What upstream can say of a batch, as far as RAS may have to wait for it."""

    REGISTRATION = "registration"
    SPELLCHECK_RESULT = "spellcheck_result"
    ASSESSMENT_RESULT = "assessment_result"
    PHASE_OUTCOME = "phase_outcome"


_ANSWERS: Final = {
    Phase.SPELLCHECK.value: Message.SPELLCHECK_RESULT,
    Phase.CJ_ASSESSMENT.value: Message.ASSESSMENT_RESULT,
}
"""The message that tells how a phase ended; for every other phase it is the phase outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Messages that would bring the batch on: how many, of which kind, about which phase."""

    message: Message
    phase: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReadiness:
    """One phase: which expected essays came through it, failed there, or have no result yet.

    `missing` leaves out essays that failed in an earlier phase: they never get here. `said` is upstream's
    word on the phase as a whole, None while it has not spoken.
    """

    phase: str
    required: bool
    completed: int
    failed: tuple[str, ...]
    missing: tuple[str, ...]
    said: BatchStatus | None
    said_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer. Essays stand in the order of the registration; `sentences` say it all in words."""

    is_registered: bool
    is_ready: bool
    overall_status: BatchStatus | None
    announced_status: BatchStatus | None
    revision: int
    expected: int
    completed: int
    failed: int
    pending: int
    pipeline_status: BatchStatus | None
    assessment_job_id: str | None
    ranked: int | None
    phases: tuple[PhaseReadiness, ...]
    unexpected: tuple[str, ...]
    awaited: tuple[Awaited, ...]
    parked: int
    sentences: tuple[str, ...]


def explain(
    state: BatchState,
    expected: Sequence[str],
    parked: Sequence[MessageParked] = (),
    *,
    named: int | None = NAMED,
) -> Readiness:
    """Return why the batch in `state` is ready or is not.

    `expected` are the essays of its registration, in order; `parked` the messages that wait in its stream.
    Sentences name the first `named` ids of each list, all of them for None.
    """
    phases = tuple(_phases(state, expected))
    awaited = tuple(_awaited(state, phases))
    unexpected = tuple(sorted(state.essays.keys() - frozenset(expected)))
    total, completed, failed = state.tally.counts
    return Readiness(
        is_registered=state.registration is not None,
        is_ready=state.overall_status is not None,
        overall_status=state.overall_status,
        announced_status=state.announced.status if state.announced else None,
        revision=state.revision,
        expected=total,
        completed=completed,
        failed=failed,
        pending=state.tally.pending,
        pipeline_status=state.runs.pipeline.final_status if state.runs.pipeline else None,
        assessment_job_id=state.assessment.job_id if state.assessment else None,
        ranked=len(state.assessment.rankings) if state.assessment else None,
        phases=phases,
        unexpected=unexpected,
        awaited=awaited,
        parked=len(parked),
        sentences=tuple(_sentences(state, phases, unexpected, parked, named)),
    )


def _phases(state: BatchState, expected: Sequence[str]) -> Iterator[PhaseReadiness]:
    required = state.requirements.phases
    standings = {
        essay_id: state.requirements.standing(essay_id, spellchecked=state.essays[essay_id].spellchecked)
        for essay_id in expected
    }
    for phase in in_pipeline_order((*required, *state.runs.conclusions)):
        is_required = phase in required
        said = state.runs.conclusions.get(phase)
        yield PhaseReadiness(
            phase=phase,
            required=is_required,
            completed=sum(phase in standing.completed_phases for standing in standings.values()),
            failed=tuple(e for e, standing in standings.items() if standing.failed_phase == phase),
            missing=tuple(
                essay_id
                for essay_id, standing in standings.items()
                if is_required
                and standing.state is State.PENDING
                and state.requirements.verdict(
                    phase, essay_id, spellchecked=state.essays[essay_id].spellchecked
                )
                is None
            ),
            said=said.status if said else None,
            said_at=said.at if said else None,
        )


def _awaited(state: BatchState, phases: Iterable[PhaseReadiness]) -> Iterator[Awaited]:
    if state.overall_status is not None:
        return
    if state.registration is None:
        yield Awaited(message=Message.REGISTRATION, phase=None, count=1)
    for phase in phases:
        if phase.missing:
            message = _ANSWERS.get(phase.phase, Message.PHASE_OUTCOME)
            one_each = message is Message.SPELLCHECK_RESULT
            yield Awaited(message=message, phase=phase.phase, count=len(phase.missing) if one_each else 1)


def _sentences(
    state: BatchState,
    phases: Sequence[PhaseReadiness],
    unexpected: Sequence[str],
    parked: Sequence[MessageParked],
    named: int | None,
) -> Iterator[str]:
    if state.registration is None:
        yield from _unregistered(state, unexpected, named)
    else:
        yield from _verdict(state)
        for phase in phases:
            yield from _in_phase(phase, named)
        yield _requirement(state)
        if unexpected:
            names = listed(unexpected, len(unexpected), most=named)
            yield (
                f"{counted(len(unexpected), 'essay')} that the registration does not name "
                f"{'was heard of and counts' if len(unexpected) == 1 else 'were heard of and count'} nowhere: {names}."
            )
    yield from _upstreams_word(state, phases)
    if parked:
        fault = parked[0].fault or "it cannot read the batch's own events"
        yield (
            f"{counted(len(parked), 'message')} of this batch wait{'s' if len(parked) == 1 else ''} because our own "
            f"code failed ({fault}); what {'it says' if len(parked) == 1 else 'they say'} is not counted. "
            "After the fix `ras parked drain` takes them in."
        )


def _verdict(state: BatchState) -> Iterator[str]:
    total, completed, failed = state.tally.counts
    status = state.overall_status
    if status is not None:
        how = f"The batch is ready: {in_words(status)}, {completed:,} of {counted(total, 'essay')} done"
        yield f"{how}, {failed:,} failed." if failed else f"{how}."
        if state.stopped is not None:
            yield f"Upstream stopped it ({in_words(status)}), whatever its essays say."
        yield f"RAS has announced this as revision {state.revision}."
    elif total == 0:
        yield "The batch is not ready: its registration names no essay, so there is nothing to wait for."
    else:
        yield (
            f"The batch is not ready: {state.tally.pending:,} of {counted(total, 'essay')} still lack a result, "
            f"{completed:,} {'is' if completed == 1 else 'are'} done, {failed:,} failed."
        )
        if state.announced is not None:
            yield (
                f"It was announced before ({in_words(state.announced.status)}, revision {state.revision}); "
                "what was learnt since has opened it again."
            )


def _in_phase(phase: PhaseReadiness, named: int | None) -> Iterator[str]:
    if phase.missing:
        names = listed(phase.missing, len(phase.missing), most=named)
        yield f"{counted(len(phase.missing), 'essay')} without a result in {phase.phase}: {names}."
    if phase.failed:
        names = listed(phase.failed, len(phase.failed), most=named)
        yield f"{counted(len(phase.failed), 'essay')} failed in {phase.phase}: {names}."


def _requirement(state: BatchState) -> str:
    phases = " and ".join(state.requirements.phases)
    if state.runs.named:
        return f"Required: {phases}, as pipeline messages and results name them."
    default = "the default"
    if set(state.requirements.phases) > set(DEFAULT_REQUIRED_PHASES):
        default = "the default and what pipeline messages and results name besides"
    if state.runs.pipeline is not None:
        return f"Required: {phases}, {default}, because the pipeline message names no phase."
    return f"Required: {phases}, {default}, because no pipeline message has come."


def _unregistered(state: BatchState, heard_of: Sequence[str], named: int | None) -> Iterator[str]:
    yield "The batch is not ready: it is not registered, so neither its teacher nor its essays are known."
    if heard_of:
        yield f"{counted(len(heard_of), 'essay')} heard of: {listed(heard_of, len(heard_of), most=named)}."
    results = [essay.spellchecked for essay in state.essays.values() if essay.spellchecked is not None]
    if results:
        yield f"{counted(len(results), 'spellcheck result')} kept, {results.count(False):,} of them failed."
    yield "All of it counts as soon as the registration comes."


def _upstreams_word(state: BatchState, phases: Iterable[PhaseReadiness]) -> Iterator[str]:
    if state.assessment is not None:
        ranked = counted(len(state.assessment.rankings), "essay")
        yield f"The newest comparative-judgement result is of job {state.assessment.job_id}: {ranked} ranked."
    for phase in phases:
        if phase.said is not None:
            yield f"Upstream called the phase {phase.phase} {in_words(phase.said)}."
    if state.runs.pipeline is not None:
        yield f"Upstream called the pipeline {in_words(state.runs.pipeline.final_status)}."
