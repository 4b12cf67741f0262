"""Checks a batch's announcements: a replay of its facts must produce the same ones, event by event.

Theory of operation. An announcement is decided from the state of its batch alone, in the same transaction
as the fact that called for it, and recorded right behind it. So a stream needs no other witness: fold it
up to a fact, ask the batch what it would announce now, and compare that with the events that follow. An
announcement that was lost, made up, made late or with other content shows at once. So does a writer that
decided on another state than the recorded one: its versions leave a gap, or what it announced is not what
the recorded facts give.

Progress is noted by the same fold, behind the announcements. It can be switched off, so that none is noted is not a
fault; that a row of it is gone shows in the versions.

The replay goes on behind what it found: what is missing counts as said, what is recorded counts as
recorded. One lost row is one finding and not one for each event after it.

Today's rules judge yesterday's announcements, with one exception: until version 2 of the results-ready a batch was
announced once per status, not once per outcome. What was recorded until then (`is_early`) is not judged by the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate
from domain.batch_events import (
    PUBLISHED_EVENTS,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchResultsReady,
)


class FaultKind(StrEnum):
    """What can be wrong with a recorded stream."""

    ANNOUNCEMENT_MISSING = "announcement_missing"
    ANNOUNCEMENT_UNFOUNDED = "announcement_unfounded"
    ANNOUNCEMENT_DIFFERENT = "announcement_different"
    VERSIONS_MISSING = "versions_missing"


@dataclass(frozen=True, slots=True)
class AnnouncementFault:
    """One fault, at `version` of the stream (the first, where several are missing)."""

    stream_id: str
    version: int
    fault: FaultKind
    detail: str


class AnnouncementCheck:
    """The check of one batch's stream, fed with its events in version order, from the first on."""

    def __init__(self, stream_id: str) -> None:
        self._batch = BatchAggregate(stream_id)
        self._due: list[DomainEvent] = []
        self._fact: DomainEvent | None = None
        self._before = self._batch.progress
        self._last_version = 0

    def take(self, event: DomainEvent, *, is_early: bool = False) -> list[AnnouncementFault]:
        """Look at the next event and return what shows with it.

        `is_early`: a release recorded it that announced a batch once per status. Its results-ready are taken as they
        are; that a row of them is gone shows in the versions alone.

        Raises what folding raises: events that our own code cannot fold have no meaning to check.
        """
        if is_early and isinstance(event, BatchResultsReady):
            found = self._passed_over(self._due, event)
            self._due = []
            self._batch.apply(event)
        elif isinstance(event, PUBLISHED_EVENTS):
            found = self._take_announcement(event, is_early=is_early)
        elif isinstance(event, BatchProgressed):
            found = self._passed_over(self._due, event) + self._take_progress(event)
            self._due = []
        else:
            found = self._passed_over(self._due, event)
            self._fact, self._before = event, self._batch.progress
            self._batch.apply(event)
            if is_early:
                self._batch.announce_ranking(event.causation)
            else:
                self._batch.announce(event.causation)
            self._due = self._batch.collect_events()
        self._last_version = event.originator_version
        return found

    def end(self) -> list[AnnouncementFault]:
        """Return what is missing at the end of the stream."""
        return [self._missing(due) for due in self._due]

    def _take_announcement(self, event: DomainEvent, *, is_early: bool) -> list[AnnouncementFault]:
        place = next((n for n, due in enumerate(self._due) if type(due) is type(event)), None)
        if place is None:
            found = self._passed_over(self._due, event)
            self._due = []
            why = "the facts before it do not call for it"
            found.append(self._finding(event, FaultKind.ANNOUNCEMENT_UNFOUNDED, why))
        else:
            found = self._passed_over(self._due[:place], event)
            expected = self._due[place]
            if is_early and isinstance(expected, BatchAssessmentCompleted):
                expected = replace(expected, correlation_id=None)  # no release of that day recorded it
            self._due = self._due[place + 1 :]
            if event == expected:
                return found
            why = f"the facts before it give another {_difference(event, expected)}"
            found.append(self._finding(event, FaultKind.ANNOUNCEMENT_DIFFERENT, why))
        self._batch.apply(event)
        return found

    def _take_progress(self, event: BatchProgressed) -> list[AnnouncementFault]:
        fact, expected = self._fact, None
        if fact is not None:
            self._batch.note_progress(self._before, happened_at=fact.happened_at, causation=fact.causation)
            expected = next(iter(self._batch.collect_events()), None)
        self._fact = None
        self._batch.apply(event)
        if expected is None:
            why = "the facts before it did not move the batch on"
            return [self._finding(event, FaultKind.ANNOUNCEMENT_UNFOUNDED, why)]
        if replace(expected, originator_version=event.originator_version) != event:
            why = f"the facts before it give another {_difference(event, expected)}"
            return [self._finding(event, FaultKind.ANNOUNCEMENT_DIFFERENT, why)]
        return []

    def _passed_over(self, due: Sequence[DomainEvent], event: DomainEvent) -> list[AnnouncementFault]:
        """Return what is missing before `event`: the announcements `due`, and any versions beside theirs."""
        found = [self._missing(announcement) for announcement in due]
        first = max([self._last_version, *(announcement.originator_version for announcement in due)]) + 1
        last = event.originator_version - 1
        if first <= last:
            detail = f"versions {first} to {last} are not in the stream"
            found.append(AnnouncementFault(self._batch.id, first, FaultKind.VERSIONS_MISSING, detail))
        return found

    def _missing(self, announcement: DomainEvent) -> AnnouncementFault:
        return self._finding(announcement, FaultKind.ANNOUNCEMENT_MISSING, "the facts before it call for it")

    def _finding(self, event: DomainEvent, fault: FaultKind, why: str) -> AnnouncementFault:
        detail = f"{type(event).__name__}, version {event.originator_version}: {why}"
        return AnnouncementFault(self._batch.id, event.originator_version, fault, detail)


def check_announcements(stream_id: str, events: Iterable[DomainEvent]) -> list[AnnouncementFault]:
    """Check the whole recorded stream of a batch, in version order; an empty list says that it is right.

    Raises what folding raises, as `AnnouncementCheck.take` does.
    """
    check = AnnouncementCheck(stream_id)
    found = [finding for event in events for finding in check.take(event)]
    return found + check.end()


def _difference(event: DomainEvent, expected: DomainEvent) -> str:
    recorded, wanted = vars(event), vars(expected)
    return ", ".join(name for name, value in recorded.items() if value != wanted[name])
