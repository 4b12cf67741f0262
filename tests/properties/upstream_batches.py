"""Random batches as upstream might tell them: truthful ones, and ones that change their mind.

A truthful batch is one that guarantee 7 promises the same announcements for in any order. That takes:

- nothing supersedes anything: one statement a subject (the registration, an essay's spellcheck, a
  phase, the assessment, the pipeline), which may be repeated, all of one pipeline run;
- upstream does not contradict itself: it stops a batch only where the essays alone either end it the
  same way or not at all, and calls no phase or pipeline a success in which every essay failed.

A phase of which only the outcome is known adds to the phases that the batch needs when its outcome comes. So a batch
with such a phase (`has_opaque_phase`) is announced once or twice, depending on when that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from domain.values import BatchStatus, EssayResult
from tests.support.given import (
    Assessed,
    Message,
    PhaseOutcome,
    PipelineCompleted,
    Registered,
    SlotAssigned,
    Spellchecked,
    minute,
    ranked,
)

SUCCESS = BatchStatus.COMPLETED_SUCCESSFULLY
WITH_FAILURES = BatchStatus.COMPLETED_WITH_FAILURES
FAILED = BatchStatus.FAILED_CRITICALLY
CANCELLED = BatchStatus.CANCELLED

_ESSAYS = ("e1", "e2", "e3", "e4", "e5", "e6")
_STRANGER = "stranger"
_NO_TIME = minute(0)


@dataclass(frozen=True)
class TruthfulBatch:
    """A batch whose announcements do not depend on order.

    `is_stopped`: upstream stopped it, at whatever moment the news came, so the counts announced are those
    of that moment. `has_opaque_phase`: which phases are reported depends on when their outcomes came.
    """

    messages: tuple[Message, ...]
    is_stopped: bool
    has_opaque_phase: bool


@st.composite
def truthful_batches(draw: st.DrawFn) -> TruthfulBatch:
    """Batches of one to six essays in which nothing supersedes or contradicts anything."""
    essays = _ESSAYS[: draw(st.integers(1, len(_ESSAYS)))]
    story = draw(
        st.sampled_from(
            ["judged", "with nlp", "only spellchecked", "failed", "failed judgement", "cancelled"]
        )
    )
    opening: list[Message] = [Registered(essays, at=_NO_TIME)]
    opening += [SlotAssigned(essay, at=_NO_TIME) for essay in draw(_some_of(essays))]
    if story == "failed":
        told = _failed(draw, essays)
    elif story == "failed judgement":
        told = _failed_judgement(draw, essays)
    elif story == "cancelled":
        told = _cancelled(draw, essays)
    else:
        told = _completed(draw, essays, story)
    if draw(st.booleans()):
        told.append(Spellchecked(_STRANGER, draw(st.booleans()), at=_NO_TIME))
    return TruthfulBatch(
        _timed([*opening, *told]), story in ("failed", "failed judgement", "cancelled"), story == "with nlp"
    )


def _completed(draw: st.DrawFn, essays: tuple[str, ...], story: str) -> list[Message]:
    through = draw(_some_of(essays, at_least=1))
    told = _spellchecks(essays, through)
    told += draw(_maybe(PhaseOutcome("spellcheck", _status(essays, through), at=_NO_TIME)))
    phases = ["spellcheck"]
    if story == "with nlp":
        phases.append("nlp")
        analysed = draw(_some_of(through, at_least=1))
        failed = tuple(essay for essay in through if essay not in analysed)
        told.append(PhaseOutcome("nlp", _status(through, analysed), failed, len(through), at=_NO_TIME))
        through = analysed
    if story != "only spellchecked":
        phases.append("cj_assessment")
        told.append(Assessed(draw(rankings(draw(_some_of(through, at_least=1)))), at=_NO_TIME))
    pipeline = PipelineCompleted(tuple(phases), SUCCESS, at=_NO_TIME)
    return [*told, *([pipeline] if story == "only spellchecked" else draw(_maybe(pipeline)))]


def _failed(draw: st.DrawFn, essays: tuple[str, ...]) -> list[Message]:
    """Every essay failed its spellcheck, as far as the results have come."""
    told = _spellchecks(draw(_some_of(essays)), ())
    phase = PhaseOutcome("spellcheck", FAILED, essays, at=_NO_TIME)
    pipeline = PipelineCompleted((), FAILED, at=_NO_TIME)
    return told + draw(st.sampled_from([[phase], [pipeline], [phase, pipeline]]))


def _failed_judgement(draw: st.DrawFn, essays: tuple[str, ...]) -> list[Message]:
    """Judgement failed for every essay that got there; no assessment is sent then."""
    through = draw(_some_of(essays, at_least=1))
    told = _spellchecks(essays, through)
    told.append(PhaseOutcome("spellcheck", _status(essays, through), at=_NO_TIME))
    return [*told, PhaseOutcome("cj_assessment", FAILED, through, at=_NO_TIME)]


def _cancelled(draw: st.DrawFn, essays: tuple[str, ...]) -> list[Message]:
    """Cancelled before judgement, with an essay at least that has not failed."""
    told = _spellchecks(essays[1:], draw(_some_of(essays)))
    phase = PhaseOutcome("cj_assessment", CANCELLED, at=_NO_TIME)
    pipeline = PipelineCompleted(("spellcheck",), CANCELLED, at=_NO_TIME)
    return told + draw(st.sampled_from([[phase], [pipeline], [phase, pipeline]]))


@st.composite
def fickle_batches(draw: st.DrawFn) -> tuple[Message, ...]:
    """Batches in which anything may be missing, superseded or contradicted, each at a time of its own."""
    messages = list(draw(truthful_batches()).messages)
    for place in sorted(draw(st.sets(st.integers(0, len(messages) - 1), max_size=2)), reverse=True):
        del messages[place]
    messages += draw(st.lists(_anything(), max_size=6))
    return _timed(draw(st.permutations(messages)))


def arrivals(messages: Sequence[Message]) -> st.SearchStrategy[tuple[Message, ...]]:
    """Return ways in which `messages` may arrive: any order between topics, and some of them again.

    All phase outcomes of a batch have one key, so they keep their order. What is sent again is the same statement,
    behind the first. Only a phase outcome, which has no time of its own, bears the time of its new sending.
    """
    again = st.lists(st.sampled_from(messages), max_size=5) if messages else st.just([])
    return again.flatmap(lambda repeats: _arrivals(messages, repeats))


@st.composite
def _arrivals(
    draw: st.DrawFn, messages: Sequence[Message], repeats: Sequence[Message]
) -> tuple[Message, ...]:
    outcomes: list[Message] = [message for message in messages if isinstance(message, PhaseOutcome)]
    for repeat in repeats:
        if isinstance(repeat, PhaseOutcome):
            place = draw(st.integers(outcomes.index(repeat) + 1, len(outcomes)))
            outcomes.insert(place, replace(repeat, at=minute(500)))
    others = [message for message in [*messages, *repeats] if not isinstance(message, PhaseOutcome)]
    in_order = iter(outcomes)
    order: list[Message | None] = [*others, *(None for _ in outcomes)]
    return tuple(next(in_order) if message is None else message for message in draw(st.permutations(order)))


@st.composite
def rankings(draw: st.DrawFn, essays: tuple[str, ...]) -> tuple[EssayResult, ...]:
    """Rankings of `essays` with anchors, and now and then an essay of another batch, among them."""
    others = draw(st.sets(st.sampled_from(["ANCHOR_1", "flagged anchor", _STRANGER])))
    line = draw(st.permutations([*essays, *sorted(others)]))
    return tuple(
        ranked(essay, rank, is_anchor=essay == "flagged anchor") for rank, essay in enumerate(line, start=1)
    )


@st.composite
def _anything(draw: st.DrawFn) -> Message:
    essay = draw(st.sampled_from((*_ESSAYS, _STRANGER)))
    some = draw(_some_of(_ESSAYS))
    status = draw(st.sampled_from([SUCCESS, SUCCESS, WITH_FAILURES, CANCELLED, FAILED]))
    phase = draw(st.sampled_from(["spellcheck", "nlp", "cj_assessment", "ai_feedback", "student_matching"]))
    phases = draw(st.sampled_from([(), ("spellcheck",), ("spellcheck", "cj_assessment"), ("nlp", phase)]))
    unfinished = BatchStatus.PROCESSING_PIPELINES
    chosen: Message = draw(
        st.sampled_from(
            [
                Registered(some, at=_NO_TIME),
                SlotAssigned(essay, at=_NO_TIME),
                Spellchecked(essay, True, at=_NO_TIME),
                Spellchecked(essay, False, at=_NO_TIME),
                PhaseOutcome(phase, status, some, len(some), at=_NO_TIME),
                PhaseOutcome(phase, unfinished, some, at=_NO_TIME),
                Assessed(draw(rankings(some)), draw(st.sampled_from(["job-1", "job-2"])), at=_NO_TIME),
                PipelineCompleted(phases, status, at=_NO_TIME),
            ]
        )
    )
    return replace(chosen, run=draw(st.sampled_from([None, "run-1", "run-2"])))


def _spellchecks(essays: Sequence[str], passed: Sequence[str]) -> list[Message]:
    return [Spellchecked(essay, essay in passed, at=_NO_TIME) for essay in essays]


def _status(entered: Sequence[str], passed: Sequence[str]) -> BatchStatus:
    return SUCCESS if len(entered) == len(passed) else WITH_FAILURES


@st.composite
def _some_of(draw: st.DrawFn, essays: tuple[str, ...], at_least: int = 0) -> tuple[str, ...]:
    chosen = draw(st.sets(st.sampled_from(essays), min_size=at_least)) if essays else set()
    return tuple(sorted(chosen))


def _maybe(message: Message) -> st.SearchStrategy[list[Message]]:
    return st.sampled_from([[message], []])


def _timed(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Give each message a time of its own, in this order."""
    return tuple(replace(message, at=minute(place)) for place, message in enumerate(messages))
