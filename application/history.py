"""The history of a batch: its stream told event by event, and how it stood at any time.

Everything is read from the event store, which is the truth; read models come later and can be wrong. A
stream is read as an iterable, page by page, so that one of a hundred thousand events takes no more
memory than one of thirty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from application.batch_at import BatchAt
from application.batch_status import batch_status
from application.responses import history as responses
from application.responses.batches import BatchStatus
from application.time_travel import By, up_to
from domain.aggregate import DomainEvent
from domain.batch import batch_stream_id
from domain.batch_events import BatchRegistered
from domain.narrative import sentence_for
from domain.times import utc_text

UNREADABLE: Final = "This release cannot read this event; the one that wrote it can."


class UnknownBatchError(Exception):
    """Nothing of this batch counts at the time asked for; the text says when it begins."""


class UnreadableEventError(Exception):
    """An event of a stream cannot be decoded, so nothing can be folded; the text names it."""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event and its place in the log."""

    notification_id: int
    event: DomainEvent


@dataclass(frozen=True, slots=True)
class UnreadableEvent:
    """A stored event that this code cannot decode."""

    notification_id: int
    version: int
    topic: str
    fault: str


Entry = RecordedEvent | UnreadableEvent

ReadStream = Callable[[str, int], Iterator[Entry]]
"""Yields the entries of the stream with this id after this version, in version order."""


class BatchHistory:
    """What can be asked of the past. Blocks while it reads: keep it off the event loop.

    `tell` puts an event into words.
    """

    def __init__(self, read: ReadStream, tell: Callable[[DomainEvent], str] = sentence_for) -> None:
        self._read = read
        self._tell = tell

    def events(
        self, batch_id: str, *, after: int = 0, at: datetime | None = None, by: By = By.RECORDED
    ) -> Iterator[responses.HistoryEvent]:
        """Yield what happened after the version `after`, up to `at` where that is given.

        Raises UnknownBatchError when there is nothing at all, and UnreadableEventError when `at` asks for
        the time of an event that cannot be read.
        """
        entries = (
            self._up_to(batch_id, at, by) if at is not None else self._read(batch_stream_id(batch_id), after)
        )
        entry = None
        for entry in entries:
            entry_now = as_entry(entry, self._tell)
            if entry_now["version"] > after:
                yield entry_now
        if entry is None:
            first = next(self._read(batch_stream_id(batch_id), 0), None)
            if first is None:
                raise UnknownBatchError("Nothing is recorded of a batch of this id.")
            if at is not None:
                raise UnknownBatchError(
                    f"Nothing of this batch had {by} by {utc_text(at)}: {self._begins(batch_id, by)}."
                )

    def page(
        self, batch_id: str, *, after: int, limit: int, at: datetime | None = None, by: By = By.RECORDED
    ) -> responses.History:
        """Return at most `limit` events after the version `after`, and the cursor to what follows."""
        events = list(islice(self.events(batch_id, after=after, at=at, by=by), limit + 1))
        page = events[:limit]
        return {
            "batch_id": batch_id,
            "as_of": at,
            "by": by if at is not None else None,
            "events": page,
            "next_cursor": str(page[-1]["version"]) if len(events) > limit else None,
        }

    def status_at(self, batch_id: str, at: datetime, by: By) -> BatchStatus:
        """Return how the batch stood, in the words of the status route.

        Raises UnknownBatchError where it was not registered yet, UnreadableEventError.
        """
        batch = BatchAt()
        for entry in self._up_to(batch_id, at, by):
            if (fault := fold(batch, entry.event)) is not None:
                raise UnreadableEventError(
                    f"Our own code fails on event {entry.event.originator_version} of this batch ({fault}), so "
                    "how it stood cannot be worked out."
                )
        row = batch.row(announced_only=by is By.RECORDED)
        if row is None:
            times = [
                _time(entry.event, by)
                for entry in readable(self._read(batch_stream_id(batch_id), 0))
                if isinstance(entry.event, BatchRegistered)
            ]
            if not times:
                raise UnknownBatchError("No batch of this id has been registered.")
            verb = "was recorded" if by is By.RECORDED else "happened"
            raise UnknownBatchError(
                f"The batch was not registered yet at {utc_text(at)}: its registration {verb} at {utc_text(min(times))}."
            )
        return batch_status(row, row["essays"])

    def _up_to(self, batch_id: str, at: datetime, by: By) -> Iterator[RecordedEvent]:
        return up_to(readable(self._read(batch_stream_id(batch_id), 0)), at, by)

    def _begins(self, batch_id: str, by: By) -> str:
        times = (_time(entry.event, by) for entry in readable(self._read(batch_stream_id(batch_id), 0)))
        return f"the first event of it {'was recorded' if by is By.RECORDED else 'happened'} at {utc_text(min(times))}"


def readable(entries: Iterable[Entry]) -> Iterator[RecordedEvent]:
    """Yield `entries`, all of which must be readable. Raises UnreadableEventError at one that is not."""
    for entry in entries:
        if isinstance(entry, UnreadableEvent):
            raise UnreadableEventError(
                f"Event {entry.version} of this batch ({entry.topic}) cannot be read by this release, so nothing "
                f"can be worked out from it: {entry.fault}. Is a newer release at work too?"
            )
        yield entry


def fold(batch: BatchAt, event: DomainEvent) -> str | None:
    """Fold `event` in; return the kind of fault where our own code fails on it, which no replay should."""
    try:
        batch.take(event)
    except Exception as fault:  # noqa: BLE001 - a stream that cannot be folded is an answer here, not an accident
        return type(fault).__name__
    return None


def as_entry(entry: Entry, tell: Callable[[DomainEvent], str] = sentence_for) -> responses.HistoryEvent:
    """Return an event in plain words, with when and why it was recorded."""
    if isinstance(entry, UnreadableEvent):
        return {
            "version": entry.version,
            "notification_id": entry.notification_id,
            "event": entry.topic,
            "text": UNREADABLE,
            "happened_at": None,
            "recorded_at": None,
            "cause": None,
        }
    event, cause = entry.event, entry.event.causation
    return {
        "version": event.originator_version,
        "notification_id": entry.notification_id,
        "event": event.topic,
        "text": tell(event),
        "happened_at": event.happened_at,
        "recorded_at": cause.received_at,
        "cause": {
            "topic": cause.topic,
            "partition": cause.partition,
            "offset": cause.offset,
            "event_id": cause.event_id,
            "correlation_id": cause.correlation_id,
        },
    }


def _time(event: DomainEvent, by: By) -> datetime:
    return event.causation.received_at if by is By.RECORDED else event.happened_at
