"""What is true of a batch, worked out again from everything upstream has said: slow, and plain.

Written from the domain rules, not from the aggregate, which it is there to contradict. Every function
takes the messages heard so far, in any order and with any repeats, and scans them. Nothing is kept
between calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from domain.values import BatchStatus, PhaseResult, Ranking
from tests.support.given import Assessed, Message, PhaseOutcome, PipelineCompleted, Registered, Spellchecked

_PIPELINE_ORDER = ["student_matching", "spellcheck", "nlp", "cj_assessment", "ai_feedback"]
_DEFAULT_PHASES = ["spellcheck", "cj_assessment"]
_SUCCESS = BatchStatus.COMPLETED_SUCCESSFULLY
_WITH_FAILURES = BatchStatus.COMPLETED_WITH_FAILURES
_FAILED = BatchStatus.FAILED_CRITICALLY
_CANCELLED = BatchStatus.CANCELLED
_LEAST_TO_MOST_GRAVE = [_SUCCESS, _WITH_FAILURES, _CANCELLED, _FAILED]

Statement = tuple[object, ...]
"""Something announced, reduced to what it says."""


class Account(NamedTuple):
    """Everything that must not depend on the order of the messages."""

    status: BatchStatus | None
    counts: tuple[int, int, int]
    phase_results: tuple[PhaseResult, ...]
    ranking: tuple[str, tuple[Ranking, ...]] | None


class Outcome(NamedTuple):
    """What a results-ready announces."""

    status: BatchStatus
    phases: tuple[str, ...]
    job_id: str | None


def account(heard: Sequence[Message]) -> Account:
    """Return how the batch stands after `heard`."""
    return Account(status(heard), counts(heard), phase_results(heard), ranking(heard))


def statements(heard: Sequence[Message]) -> list[Statement]:
    """Return what is to be announced while `heard` comes in, in its order."""
    said: list[Statement] = []
    last_ranking: object = None
    last_outcome: object = None
    revision = 0
    for length in range(1, len(heard) + 1):
        known = heard[:length]
        if newest(known, Registered) is None:
            continue
        now = account(known)
        if now.ranking is not None and now.ranking != last_ranking:
            last_ranking = now.ranking
            said.append(("ranking", *now.ranking))
        ended = outcome(known)
        if ended is not None and ended != last_outcome:
            last_outcome = ended
            revision += 1
            said.append(("outcome", revision, *ended, *now.counts, now.phase_results))
    return said


def outcome(heard: Sequence[Message]) -> Outcome | None:
    """Return the outcome, None before there is one: for a stopped batch its status alone."""
    ended = status(heard)
    if ended is None:
        return None
    if ended in (_FAILED, _CANCELLED):
        return Outcome(ended, (), None)
    assessment = newest(heard, Assessed)
    ran = tuple(result.phase for result in phase_results(heard))
    return Outcome(ended, ran, assessment.job_id if assessment else None)


def status(heard: Sequence[Message]) -> BatchStatus | None:
    """Return the batch's outcome, None before it has one."""
    if newest(heard, Registered) is None:
        return None
    if (stopped := stop(heard)) is not None:
        return stopped
    pipeline = newest(heard, PipelineCompleted)
    outcomes = {phase: standing(heard, phase) for phase in phases_heard_of(heard)}
    fates = [fate(heard, essay) for essay in expected(heard)]
    if not fates or "pending" in fates:
        return None
    if all(verdict == "completed" for verdict in fates):
        return _SUCCESS
    if len(set(fates)) == 1:
        # Every essay failed in one phase: critical, unless upstream said how that phase or all of it ended.
        outcome = outcomes.get(fates[0])
        said = [outcome.status if outcome else None, pipeline.status if pipeline else None]
        if _SUCCESS not in said and _WITH_FAILURES not in said:
            return _FAILED
    return _WITH_FAILURES


def counts(heard: Sequence[Message]) -> tuple[int, int, int]:
    """Return how many essays are expected, completed and failed."""
    fates = [fate(heard, essay) for essay in expected(heard)]
    pending = fates.count("pending")
    completed = fates.count("completed")
    return len(fates), completed, len(fates) - completed - pending


def phase_results(heard: Sequence[Message]) -> tuple[PhaseResult, ...]:
    """Return the counts of each required phase."""
    fates = {essay: fate(heard, essay) for essay in expected(heard)}
    required = required_phases(heard)
    return tuple(
        PhaseResult(
            phase=phase,
            completed_count=sum(passed(heard, essay, phase, fates[essay]) for essay in fates),
            failed_count=sum(verdict == phase for verdict in fates.values()),
        )
        for phase in required
        if any(passed(heard, essay, phase, fates[essay]) or fates[essay] == phase for essay in fates)
    )


def ranking(heard: Sequence[Message]) -> tuple[str, tuple[Ranking, ...]] | None:
    """Return the job and the ranking of the batch's own students, None where nobody is ranked."""
    assessment = newest(heard, Assessed)
    lines = tuple(
        Ranking(
            essay_id=result.essay_id,
            rank=result.rank,
            score=result.bt_score,
            letter_grade=result.letter_grade,
            confidence_score=result.confidence_score,
            confidence_label=result.confidence_label,
        )
        for result in (assessment.results if assessment else ())
        if result.essay_id in expected(heard) and not result.is_anchor and "ANCHOR_" not in result.essay_id
    )
    return (assessment.job_id, lines) if assessment and lines else None


def fate(heard: Sequence[Message], essay: str) -> str:
    """Return "completed", "pending", or the phase in which the essay failed."""
    for phase in required_phases(heard):
        verdict = verdict_in(heard, essay, phase)
        if verdict is None:
            return "pending"
        if verdict is False:
            return phase
    return "completed"


def passed(heard: Sequence[Message], essay: str, phase: str, essay_fate: str) -> bool:
    """Whether the essay got to `phase` and succeeded there.

    Its own result proves it. For a phase without results per essay, it must not have failed before.
    """
    if verdict_in(heard, essay, phase) is not True:
        return False
    required = required_phases(heard)
    failed_before = essay_fate in required and required.index(essay_fate) < required.index(phase)
    return phase in ("spellcheck", "cj_assessment") or not failed_before


def verdict_in(heard: Sequence[Message], essay: str, phase: str) -> bool | None:
    """Whether the essay succeeded in `phase`, None while that is open."""
    if phase == "spellcheck":
        result = newest(
            [m for m in heard if isinstance(m, Spellchecked) and m.essay_id == essay], Spellchecked
        )
        return result.succeeded if result else None
    if phase == "cj_assessment":
        assessment = newest(heard, Assessed)
        ranked = [r.essay_id for r in assessment.results if not r.is_anchor] if assessment else []
        return essay in ranked if assessment else None
    outcome = reported(heard).get(phase)
    if outcome is None and phase not in named(heard):
        return None
    return outcome is None or essay not in outcome.failed


def required_phases(heard: Sequence[Message]) -> list[str]:
    """Return the phases that this batch has to go through, in order."""
    required = named(heard) | {phase for phase in reported(heard) if phase not in _DEFAULT_PHASES}
    if any(isinstance(m, Spellchecked) and m.essay_id in expected(heard) for m in heard):
        required.add("spellcheck")
    if newest(heard, Assessed) is not None:
        required.add("cj_assessment")
    if not named(heard):
        required.update(_DEFAULT_PHASES)
    return [phase for phase in _PIPELINE_ORDER if phase in required]


def named(heard: Sequence[Message]) -> set[str]:
    """Return the phases that pipeline messages have named."""
    return {phase for message in heard if isinstance(message, PipelineCompleted) for phase in message.phases}


def reported(heard: Sequence[Message]) -> dict[str, PhaseOutcome]:
    """Return the phase outcomes that report results: those that did not stop their run."""
    outcomes = {phase: standing(heard, phase) for phase in phases_heard_of(heard)}
    return {phase: o for phase, o in outcomes.items() if o.status in (_SUCCESS, _WITH_FAILURES)}


def stop(heard: Sequence[Message]) -> BatchStatus | None:
    """Return how the newest run was stopped, None if it was not."""
    pipeline = newest(heard, PipelineCompleted)
    last = last_outcome(heard)
    if pipeline is not None and (last is None or pipeline.run == last.run or pipeline.at >= last.at):
        if pipeline.status in (_FAILED, _CANCELLED):
            return pipeline.status
        if last is None or pipeline.run != last.run:
            return None
    if last is None:
        return None
    outcomes = [standing(heard, phase) for phase in phases_heard_of(heard)]
    stops = [outcome.status for outcome in outcomes if outcome.run == last.run]
    return next((status for status in (_FAILED, _CANCELLED) if status in stops), None)


def expected(heard: Sequence[Message]) -> list[str]:
    """Return the essays of the newest registration."""
    registration = newest(heard, Registered)
    return sorted(set(registration.essay_ids)) if registration else []


def phases_heard_of(heard: Sequence[Message]) -> set[str]:
    """Return the phases of which an outcome has come."""
    return {message.phase for message in heard if isinstance(message, PhaseOutcome)}


def runs(heard: Sequence[Message]) -> list[str | None]:
    """Return the runs in the order in which they first reported a phase outcome."""
    return list(dict.fromkeys(message.run for message in heard if isinstance(message, PhaseOutcome)))


def standing(heard: Sequence[Message], phase: str) -> PhaseOutcome:
    """Return the phase outcome that counts: of the last run that reported one, the gravest."""
    outcomes = [m for m in heard if isinstance(m, PhaseOutcome) and m.phase == phase]
    last = max((outcome.run for outcome in outcomes), key=runs(heard).index)
    return max((outcome for outcome in outcomes if outcome.run == last), key=gravity)


def last_outcome(heard: Sequence[Message]) -> PhaseOutcome | None:
    """Return the last phase outcome of the last run that changed what is known of its phase."""
    found: PhaseOutcome | None = None
    known: list[Message] = []
    for message in heard:
        if not isinstance(message, PhaseOutcome):
            continue
        before = standing(known, message.phase) if message.phase in phases_heard_of(known) else None
        now = [*known, message]
        is_news = before is None or content(standing(now, message.phase)) != content(before)
        if is_news and message.run == runs(now)[-1]:
            found = message
        known.append(message)
    return found


def content(outcome: PhaseOutcome) -> tuple[object, ...]:
    """Return what a phase outcome says, without when it was sent."""
    return (outcome.run, *gravity(outcome))


def gravity(outcome: PhaseOutcome) -> tuple[int, str, int, tuple[str, ...]]:
    """Return the place of an outcome among those of its run, the gravest last."""
    grave = _LEAST_TO_MOST_GRAVE.index(outcome.status) + 1 if outcome.status in _LEAST_TO_MOST_GRAVE else 0
    return grave, outcome.status, outcome.processed, tuple(sorted(outcome.failed))


Told = TypeVar("Told", bound=Message)


def newest(heard: Sequence[Message], kind: type[Told]) -> Told | None:
    """Return the statement of `kind` with the latest upstream time, None when there is none."""
    told = [message for message in heard if isinstance(message, kind)]
    return max(told, key=lambda message: message.at, default=None)
