"""How far a batch is in each phase is what its essays' standings say, counted."""

from __future__ import annotations

from domain.completion import Tally, requirements
from domain.phase_progress import PhaseProgress, phase_now, phase_progress
from domain.values import BatchStatus

_WAITING, _READY, _PROCESSING = (
    BatchStatus.AWAITING_CONTENT_VALIDATION,
    BatchStatus.READY_FOR_PIPELINE_EXECUTION,
    BatchStatus.PROCESSING_PIPELINES,
)


def progress(
    *spellchecks: bool | None,
    status: BatchStatus = _PROCESSING,
    named: tuple[str, ...] = (),
    outcomes: dict[str, tuple[str, ...]] | None = None,
    ranked: frozenset[str] | None = None,
    files: int = 0,
    analysed: int = 0,
) -> tuple[PhaseProgress, ...]:
    """Return the progress of the essays e0, e1, ... with these ends of their spellcheck."""
    needs = requirements(
        named, outcomes or {}, spellchecked=any(each is not None for each in spellchecks), ranked=ranked
    )
    tally = Tally()
    for number, spellchecked in enumerate(spellchecks):
        tally.count(needs.standing(f"e{number}", spellchecked=spellchecked))
    return phase_progress(tally, needs.phases, status, files=files, analysed=analysed)


def test_files_count_until_something_is_processed() -> None:
    assert progress(None, None, None, status=_WAITING, files=2)[0] == ("registration", 3, 2, 0)
    assert progress(None, None, None, status=_READY, files=3)[0] == ("registration", 3, 3, 0)
    assert progress(True, None, None, files=2)[0] == ("registration", 3, 3, 0)


def test_an_essay_that_failed_is_not_expected_in_later_phases() -> None:
    assert progress(True, False, None, True)[1:] == (
        ("spellcheck", 4, 2, 1),
        ("cj_assessment", 3, 0, 0),
    )
    assert progress(True, False, True, ranked=frozenset({"e0"}))[1:] == (
        ("spellcheck", 3, 2, 1),
        ("cj_assessment", 2, 1, 1),
    )


def test_an_essay_that_came_through_a_later_phase_all_the_same_is_counted_there() -> None:
    [_, _, judged] = progress(False, True, ranked=frozenset({"e0", "e1"}))
    assert judged == ("cj_assessment", 2, 2, 0)


def test_the_language_analysis_is_there_from_the_first_essay_and_counted_by_its_outcome_at_the_end() -> None:
    assert [each.phase for each in progress(True, True)] == ["registration", "spellcheck", "cj_assessment"]
    assert progress(True, False, True, analysed=1)[2] == ("nlp", 2, 1, 0)
    assert progress(True, False, True, analysed=3)[2] == ("nlp", 2, 2, 0)
    concluded = progress(True, True, named=("spellcheck", "nlp"), outcomes={"nlp": ("e1",)}, analysed=2)
    assert concluded[2] == ("nlp", 2, 1, 1)


def test_a_batch_without_essays_has_no_progress() -> None:
    assert progress() == ()


def test_the_language_analysis_is_the_phase_of_now_until_it_is_over() -> None:
    assert phase_now("spellcheck", progress(True, None)) == "spellcheck"
    assert phase_now("cj_assessment", progress(True, True)) == "cj_assessment"
    assert phase_now("cj_assessment", progress(True, False, True, analysed=1)) == "nlp"
    assert phase_now("cj_assessment", progress(True, False, True, analysed=2)) == "cj_assessment"
    assert phase_now(None, progress(True, None)) is None
