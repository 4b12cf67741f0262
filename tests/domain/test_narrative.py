"""Events in plain words: every event of a batch has a sentence, and none says more than ids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest

from domain import batch_events
from domain.aggregate import DomainEvent
from domain.batch_events import AssessmentCompleted, BatchRegistered, MessageParked
from domain.narrative import listed, sentence_for
from domain.wording import counted
from tests.golden.expected_events import EXPECTED
from tests.support.given import ranked

_CLASSES: Final = [
    value
    for value in vars(batch_events).values()
    if isinstance(value, type) and issubclass(value, DomainEvent) and value is not DomainEvent
]


def of(event_class: type[Any]) -> Any:
    """Return the golden event of a class."""
    return EXPECTED[event_class.topic]


@pytest.mark.parametrize("event_class", _CLASSES, ids=lambda c: c.__name__)
def test_every_event_of_a_batch_has_a_sentence_of_its_own(event_class: type[DomainEvent]) -> None:
    sentence = sentence_for(of(event_class))
    assert sentence.endswith(".")
    assert event_class.topic not in sentence


def test_no_file_name_error_text_or_fault_is_repeated() -> None:
    secret = "Kim Svensson"
    named: list[DomainEvent] = [
        replace(of(batch_events.EssaySlotAssigned), original_file_name=f"{secret}.docx"),
        replace(of(batch_events.EssaySpellcheckFailed), error_info={"error_message": secret}),
        replace(of(MessageParked), fault="ValueError", reason=f"ValueError: {secret}"),
        replace(of(BatchRegistered), course_code=secret, student_prompt_ref={"prompt": secret}),
        replace(of(AssessmentCompleted), results=(replace(ranked("e1", 1), display_name=secret),)),
    ]
    assert [event for event in named if secret in sentence_for(event)] == []


def test_an_event_that_is_not_known_here_is_named_by_its_kind() -> None:
    sentence = sentence_for(EXPECTED["ras.inbox.notification-read.v1"])
    assert sentence == "An event of the kind ras.inbox.notification-read.v1 was recorded."


def test_long_lists_are_named_up_to_a_bound_and_counted_beyond_it() -> None:
    essays = tuple(f"e{number}" for number in range(1, 10_001))
    sentence = sentence_for(replace(of(BatchRegistered), essay_ids=essays, user_id="teacher-0007"))
    assert sentence == (
        "The batch was registered for teacher-0007 with 10,000 essays: "
        "e1, e2, e3, e4, e5, e6, e7, e8, e9, e10 and 9,990 more."
    )


def test_anchors_are_not_counted_as_essays() -> None:
    results = (ranked("e1", 1), ranked("ANCHOR_1", 2), ranked("a2", 3, is_anchor=True))
    sentence = sentence_for(replace(of(AssessmentCompleted), job_id="job-7", results=results))
    assert sentence == "The comparative-judgement job job-7 ranked 1 essay and 2 anchors."


@pytest.mark.parametrize(
    ("count", "most", "text"), [(2, 2, "a, b"), (3, 2, "a, b and 1 more"), (3, None, "a, b, c")]
)
def test_lists(count: int, most: int | None, text: str) -> None:
    assert listed("abc"[:count], count, most=most) == text


def test_numbers_of_things() -> None:
    assert [counted(n, "essay") for n in (0, 1, 2, 1500)] == [
        "0 essays",
        "1 essay",
        "2 essays",
        "1,500 essays",
    ]
