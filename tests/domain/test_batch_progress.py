"""What the teacher's list of batches is told, and when: once for each step, never for a repeat or for old events."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from domain.aggregate import DomainEvent
from domain.announcement_check import FaultKind, check_announcements
from domain.batch import BatchAggregate
from domain.batch_events import BatchProgressed, BatchResultsReady, EssaySlotAssigned
from domain.notifications import correlation_id_of, teacher_notification
from domain.values import BatchStatus
from tests.support.given import (
    STREAM,
    Message,
    assessed,
    caused_by,
    in_run,
    phase_outcome,
    pipeline_completed,
    registered,
    replayed,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)

WHOLE: Final = (
    slot_assigned("e1"),
    registered("e1", "e2"),
    slot_assigned("e2"),
    spellchecked("e1"),
    spellcheck_failed("e2"),
    phase_outcome("spellcheck", failed=("e2",)),
    assessed("e1"),
    pipeline_completed("spellcheck", "cj_assessment"),
)


def told(*messages: Message, batch: BatchAggregate | None = None, notes: bool = True) -> list[DomainEvent]:
    """Return what a batch records of `messages`, its progress noted after each."""
    batch = batch or BatchAggregate(STREAM)
    for offset, message in enumerate(messages, start=batch.version + 1):
        cause = caused_by(offset, message.run)
        before = batch.progress
        message.tell(batch, cause)
        if notes:
            batch.note_progress(before, happened_at=message.at, causation=cause)
    return batch.collect_events()


def steps(events: list[DomainEvent]) -> list[BatchProgressed]:
    return [event for event in events if isinstance(event, BatchProgressed)]


def shown(events: list[DomainEvent]) -> list[tuple[str, str | None, int, int, int]]:
    """Return status, phase, done, failed and revision of each step, as the notification has them."""
    payloads = [teacher_notification(step).payload for step in steps(events)]
    names = ("status", "processing_phase", "completed_essays", "failed_essays", "revision")
    return [tuple(payload[name] for name in names) for payload in payloads]


def test_a_batch_is_told_ready_then_each_beginning_and_end_of_a_phase_then_its_outcome() -> None:
    assert shown(told(*WHOLE)) == [
        ("ready", None, 0, 0, 0),
        ("processing", "spellcheck", 0, 0, 0),
        ("processing", "cj_assessment", 0, 1, 0),
        ("completed_with_failures", None, 1, 1, 1),
    ]


def test_the_notification_is_state_and_no_news() -> None:
    *_, last = steps(told(*WHOLE))

    notification = teacher_notification(last)

    assert notification.notification_type == "batch_status_updated"
    assert (notification.category, notification.priority) == ("batch_progress", "standard")
    assert notification.action_required is False
    assert notification.teacher_id == last.user_id
    assert notification.payload == {
        "batch_id": STREAM.removeprefix("batch-"),
        "status": "completed_with_failures",
        "completed_essays": 1,
        "failed_essays": 1,
        "total_essays": 2,
        "processing_phase": None,
        "completed_at": notification.payload["completed_at"],
        "revision": 1,
    }
    assert notification.payload["completed_at"].endswith("Z")


def test_the_step_of_an_outcome_has_the_correlation_id_of_its_announcement() -> None:
    run = "c0ffee00-1111-4222-8333-444455556666"
    events = told(*in_run(run, *WHOLE[:-2]), assessed("e1"))

    [ready] = [event for event in events if isinstance(event, BatchResultsReady)]
    assert correlation_id_of(steps(events)[-1]) == correlation_id_of(ready) == run


def test_nothing_is_told_of_a_batch_whose_teacher_is_unknown_and_all_at_once_when_he_is() -> None:
    without = [message for message in WHOLE if message is not WHOLE[1]]

    assert shown(told(*without)) == []
    assert shown(told(*without, WHOLE[1])) == [("completed_with_failures", None, 1, 1, 1)]


def test_a_registration_without_files_is_not_ready() -> None:
    assert shown(told(registered("e1"))) == []
    assert shown(told(registered("e1"), slot_assigned("e1"))) == [("ready", None, 0, 0, 0)]


def test_a_phase_that_only_its_outcome_shows_is_told_with_it() -> None:
    events = told(*WHOLE[:5], phase_outcome("nlp"), phase_outcome("ai_feedback"))

    assert len(steps(events)) == 5


def test_repeats_tell_nothing() -> None:
    batch = BatchAggregate(STREAM)
    first = told(*WHOLE, batch=batch)

    assert steps(first)
    assert told(*WHOLE, batch=batch) == []


def test_another_judging_is_told_with_its_revision() -> None:
    batch = BatchAggregate(STREAM)
    told(*WHOLE, batch=batch)

    assert shown(told(assessed("e1", job="job-2", at=60), batch=batch)) == [
        ("completed_with_failures", None, 1, 1, 2)
    ]


@pytest.mark.parametrize("known", range(len(WHOLE) + 1))
def test_what_was_recorded_without_progress_is_never_told_afterwards(known: int) -> None:
    """A release before this one recorded it, or the setting was off."""
    batch = replayed(told(*WHOLE[:known], notes=False))

    later = told(*WHOLE, batch=batch)

    assert shown(later) == shown(told(*WHOLE))[len(steps(told(*WHOLE[:known]))) :]
    [slot] = told(slot_assigned("e1", at=90), batch=batch)
    assert isinstance(slot, EssaySlotAssigned)


def test_a_batch_that_stopped_is_told_failed_with_all_of_its_essays() -> None:
    events = told(registered("e1", "e2"), phase_outcome("spellcheck", BatchStatus.FAILED_CRITICALLY))

    assert shown(events) == [("failed", None, 0, 2, 1)]


def test_a_check_of_the_stream_accepts_progress_noted_or_not() -> None:
    assert check_announcements(STREAM, told(*WHOLE)) == []
    assert check_announcements(STREAM, told(*WHOLE, notes=False)) == []


def test_a_check_finds_progress_that_the_facts_do_not_show() -> None:
    events = told(*WHOLE)
    place = next(n for n, event in enumerate(events) if isinstance(event, BatchProgressed))
    lost = [*events[:place], *events[place + 1 :]]
    step = steps(events)[0]
    again = [*events, replace(step, originator_version=events[-1].originator_version + 1)]
    events[place] = replace(step, completed_essays=7)

    assert [f.fault for f in check_announcements(STREAM, events)] == [FaultKind.ANNOUNCEMENT_DIFFERENT]
    assert [f.fault for f in check_announcements(STREAM, again)] == [FaultKind.ANNOUNCEMENT_UNFOUNDED]
    assert [f.fault for f in check_announcements(STREAM, lost)] == [FaultKind.VERSIONS_MISSING]
