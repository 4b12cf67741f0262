"""A result of comparative judgement is recorded in two streams: where the one has it, the other must too.

The message is one, so the account of the intake agrees as long as either stream stands for it. Both are written
in one transaction, and each takes the result unless it has a newer one. So the fact in one stream calls for a
fact that is no older in the other, or for the message parked there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from application.conservation import Finding
from domain.aggregate import DomainEvent
from domain.assessment import assessment_stream_id
from domain.assessment_events import AssessmentResultRecorded
from domain.batch import batch_stream_id
from domain.batch_events import AssessmentCompleted, AssessmentFailed, MessageParked
from infrastructure.check.streams import Page, pages
from infrastructure.eventstore.codec import EventCodec

_Coordinates = tuple[str, int, int]

_FACTS: Final = (AssessmentCompleted, AssessmentFailed, AssessmentResultRecorded)
_VERSION: Final = text(
    "SELECT coalesce(max(originator_version), 0) FROM ras.stored_events WHERE originator_id = :id"
)


class _Owed(NamedTuple):
    """A fact of one stream that calls for its like in another."""

    place: str
    happened_at: datetime
    message: _Coordinates


class Counterparts:
    """Follows the pages of a portion of streams."""

    def __init__(self, codec: EventCodec) -> None:
        self._codec = codec
        self._owed: dict[str, list[_Owed]] = {}

    def take(self, page: Page) -> None:
        """Note what the facts of a page call for elsewhere."""
        for each in page.recorded:
            event = each.event
            if isinstance(event, AssessmentCompleted | AssessmentFailed):
                counterpart = assessment_stream_id(event.job_id)
            elif isinstance(event, AssessmentResultRecorded):
                counterpart = batch_stream_id(event.batch_id)
            else:
                continue
            place = f"{event.originator_id}/{event.originator_version}"
            owed = _Owed(place, event.happened_at, _message_of(event))
            self._owed.setdefault(counterpart, []).append(owed)

    def end(self, connection: Connection) -> Iterator[Finding]:
        """Yield what is missing, under the stream and the version that it would have if it was the last."""
        newest: dict[str, datetime] = {}
        parked: set[tuple[str, _Coordinates]] = set()
        unreadable: set[str] = set()
        topics = self._codec.stored_under([event.topic for event in (*_FACTS, MessageParked)])
        for page in pages(connection, self._codec, list(self._owed), topics):
            unreadable |= {error.stream_id for error in page.unreadable}
            for each in page.recorded:
                event: DomainEvent = each.event
                stream_id = event.originator_id
                if isinstance(event, MessageParked):
                    parked.add((stream_id, _message_of(event)))
                else:
                    newest[stream_id] = max(event.happened_at, newest.get(stream_id, event.happened_at))
        for stream_id, all_owed in self._owed.items():
            for owed in all_owed:
                is_there = stream_id in newest and newest[stream_id] >= owed.happened_at
                if is_there or stream_id in unreadable or (stream_id, owed.message) in parked:
                    continue
                version = connection.execute(_VERSION, {"id": stream_id}).scalar_one() + 1
                topic, partition, offset = owed.message
                detail = f"The result in {topic}/{partition}/{offset} is recorded as {owed.place} and is missing here."
                yield Finding("event store", f"{stream_id}/{version}", detail)


def _message_of(event: DomainEvent) -> _Coordinates:
    return event.causation.topic, event.causation.partition, event.causation.offset
