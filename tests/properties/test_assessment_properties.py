"""Guarantee 7 for judging jobs: any order, any repeats, any drafts and replays on the way, one outcome."""

from __future__ import annotations

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from domain.aggregate import DomainEvent
from domain.assessment import AssessmentAggregate
from domain.assessment_events import Side
from infrastructure.eventstore.event_registry import event_codec
from tests.support.answers import STREAM, Answered, Assessed, Told, hear, standing

_ANSWERS: Final = st.builds(
    Answered,
    st.sampled_from(["r1", "r2", "r3"]),
    st.sampled_from([Side.A, Side.B, None]),
    confidence=st.sampled_from([1.0, 2.5, 5.0]),
    metadata=st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.none() | st.integers() | st.floats(-1, 1) | st.text(max_size=3),
        max_size=2,
    ),
    at=st.integers(0, 3),
)


@st.composite
def stories(draw: st.DrawFn) -> tuple[list[Told], list[Told]]:
    """The same messages of one job in two orders, each with repeats of its own; results of distinct times."""
    told: list[Told] = [*draw(st.lists(_ANSWERS, max_size=8))]
    told += [
        Assessed(tuple(draw(st.permutations(["e1", "e2", "e3"]))), at=at)
        for at in draw(st.lists(st.integers(0, 5), max_size=3, unique=True))
    ]
    repeats = st.lists(st.sampled_from(told), max_size=4) if told else st.just([])
    return (
        draw(st.permutations([*told, *draw(repeats)])),
        draw(st.permutations([*told, *draw(repeats)])),
    )


@given(stories())
def test_the_outcome_depends_neither_on_the_order_nor_on_repeats(two: tuple[list[Told], list[Told]]) -> None:
    one, other = two

    assert standing(hear(one)) == standing(hear(other))


@given(stories())
def test_what_stands_is_the_greatest_of_all_that_was_said(two: tuple[list[Told], list[Told]]) -> None:
    story, _ = two
    outcome = standing(hear(story))

    for request in {each.request for each in story if isinstance(each, Answered)}:
        answers = [each for each in story if isinstance(each, Answered) and each.request == request]
        newest = [each for each in answers if each.at == max(answer.at for answer in answers)]
        decided = [each for each in newest if each.winner is not None]
        assert any(standing(hear([each]))[request] == outcome[request] for each in decided or newest)


@given(stories(), st.data())
def test_cuts_drafts_and_replays_on_the_way_change_nothing(
    two: tuple[list[Told], list[Told]], data: st.DataObject
) -> None:
    story, _ = two
    codec = event_codec()
    job, log, begin = AssessmentAggregate(STREAM), list[DomainEvent](), 0
    while begin < len(story):
        end = begin + data.draw(st.integers(1, len(story) - begin))
        draft = job.draft()
        events = hear(story[begin:end], draft)
        match data.draw(st.sampled_from(["stored", "lost", "stored, then restarted"])):
            case "lost":
                continue
            case "stored":
                draft.settle()
                job = draft
            case _:
                stored = [codec.to_stored_event(event) for event in (*log, *events)]
                job = AssessmentAggregate.replay(STREAM, map(codec.to_domain_event, stored))
                job.settle()
        log += events
        begin = end

    assert [event.originator_version for event in log] == list(range(1, len(log) + 1))
    assert standing(log) == standing(hear(story))
    assert len(log) == len(hear(story))
