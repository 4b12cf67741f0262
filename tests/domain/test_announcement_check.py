"""A stream tells by itself whether its announcements are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from domain.aggregate import DomainEvent
from domain.announcement_check import FaultKind, check_announcements
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from tests.support.given import (
    STREAM,
    announced,
    assessed,
    play,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)

_RANKING: Final = 5
_FIRST_OUTCOME: Final = 7
_SECOND_OUTCOME: Final = 10


def recorded() -> list[DomainEvent]:
    """Return the stream of a batch whose last essay failed first and came through later."""
    events = play(
        (
            slot_assigned("e1"),
            spellchecked("e1"),
            registered("e1", "e2"),
            assessed("e1", "e2"),
            spellcheck_failed("e2"),
            slot_assigned("e2"),
            spellchecked("e2", at=40),
        )
    ).collect_events()
    assert {event.originator_version: type(event) for event in announced(events)} == {
        _RANKING: BatchAssessmentCompleted,
        _FIRST_OUTCOME: BatchResultsReady,
        _SECOND_OUTCOME: BatchResultsReady,
    }
    return events


def renumbered(events: Sequence[DomainEvent]) -> list[DomainEvent]:
    """Return the same events without gaps, as a writer leaves them that never tried to record the others."""
    return [replace(event, originator_version=version) for version, event in enumerate(events, 1)]


def faults(events: Sequence[DomainEvent]) -> list[tuple[FaultKind, int]]:
    """Return what is found, each with its version."""
    found = check_announcements(STREAM, events)
    assert all(finding.stream_id == STREAM and finding.detail for finding in found)
    return [(finding.fault, finding.version) for finding in found]


def test_a_stream_as_it_was_recorded_is_right() -> None:
    assert faults(recorded()) == []
    assert faults([]) == []


@pytest.mark.parametrize("version", [_RANKING, _FIRST_OUTCOME, _SECOND_OUTCOME])
def test_a_lost_announcement_is_one_finding_at_its_version(version: int) -> None:
    events = recorded()
    del events[version - 1]

    assert faults(events) == [(FaultKind.ANNOUNCEMENT_MISSING, version)]


def test_an_announcement_that_was_never_made_is_found_although_the_versions_have_no_gap() -> None:
    events = recorded()
    del events[_FIRST_OUTCOME - 1]

    assert (FaultKind.ANNOUNCEMENT_MISSING, _FIRST_OUTCOME) in faults(renumbered(events))


def test_of_two_announcements_due_at_once_the_lost_one_is_named() -> None:
    events = play([spellchecked("e1"), assessed("e1"), registered("e1")]).collect_events()
    assert [type(event) for event in events[3:]] == [BatchAssessmentCompleted, BatchResultsReady]

    assert faults(events[:3]) == [(FaultKind.ANNOUNCEMENT_MISSING, 4), (FaultKind.ANNOUNCEMENT_MISSING, 5)]
    assert faults(events[:3] + events[4:]) == [(FaultKind.ANNOUNCEMENT_MISSING, 4)]
    assert faults(events[:4]) == [(FaultKind.ANNOUNCEMENT_MISSING, 5)]


@pytest.mark.parametrize("version", [1, 3, 4, 6, 9])
def test_a_lost_fact_is_found_by_the_gap_that_it_leaves(version: int) -> None:
    events = recorded()
    del events[version - 1]

    assert (FaultKind.VERSIONS_MISSING, version) in faults(events)


def test_a_gap_beside_a_lost_announcement_is_named_too() -> None:
    events = recorded()
    del events[_FIRST_OUTCOME - 1 : _FIRST_OUTCOME + 1]

    assert faults(events) == [
        (FaultKind.ANNOUNCEMENT_MISSING, _FIRST_OUTCOME),
        (FaultKind.VERSIONS_MISSING, _FIRST_OUTCOME + 1),
    ]


def test_an_announcement_said_twice_is_unfounded() -> None:
    events = recorded()
    again = replace(events[-1], originator_version=len(events) + 1)

    assert faults([*events, again]) == [(FaultKind.ANNOUNCEMENT_UNFOUNDED, len(events) + 1)]


def test_an_announcement_made_late_is_missing_in_its_place_and_unfounded_where_it_stands() -> None:
    events = recorded()
    late = events.pop(_FIRST_OUTCOME - 1)
    events.insert(_FIRST_OUTCOME, late)

    found = faults(renumbered(events))

    assert (FaultKind.ANNOUNCEMENT_MISSING, _FIRST_OUTCOME) in found
    assert (FaultKind.ANNOUNCEMENT_UNFOUNDED, _FIRST_OUTCOME + 1) in found


def test_an_announcement_with_other_content_is_found_and_the_difference_named() -> None:
    events = recorded()
    outcome = events[_FIRST_OUTCOME - 1]
    assert isinstance(outcome, BatchResultsReady)
    events[_FIRST_OUTCOME - 1] = replace(outcome, completed_essays=2)

    [finding] = check_announcements(STREAM, events)

    assert (finding.fault, finding.version) == (FaultKind.ANNOUNCEMENT_DIFFERENT, _FIRST_OUTCOME)
    assert "completed_essays" in finding.detail
