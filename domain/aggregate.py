"""What every aggregate shares: an id, a version, and the events not yet recorded.

The library's own `Aggregate` reads the clock when it triggers an event and keeps its bookkeeping in
each event class. RAS wants neither (times are arguments, an event is a plain frozen record), so this
module implements the library's `CollectEventsProtocol` by hand; mapper and recorder are the library's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

from domain.immutable import immutable
from domain.values import Causation


@immutable(kw_only=True, slots=False)
class DomainEvent:
    """A fact in a stream.

    `happened_at` is upstream's time of the fact; when RAS received it is in `causation`.
    `topic` is the stable name under which the event is stored, with its version; it never changes.
    """

    topic: ClassVar[str]

    originator_id: str
    originator_version: int
    happened_at: datetime
    causation: Causation


class EventSourcedAggregate:
    """A state that is the fold of its events.

    Commands decide and call `trigger_event`; `_evolve` alone changes state and must never fail,
    decide, or read a clock, because it replays what was recorded years ago.
    """

    def __init__(self, stream_id: str) -> None:
        self.id = stream_id
        self.version = 0
        self._pending_events: list[DomainEvent] = []

    @classmethod
    def replay(cls, stream_id: str, events: Iterable[DomainEvent]) -> Self:
        """Return the aggregate that the recorded `events` (in version order) describe."""
        aggregate = cls(stream_id)
        for event in events:
            aggregate.apply(event)
        return aggregate

    def apply(self, event: DomainEvent) -> None:
        """Take over one recorded event, the next in version order."""
        self._evolve(event)
        self.version = event.originator_version

    @property
    def pending_events(self) -> tuple[DomainEvent, ...]:
        """The events triggered since the last collection, oldest first."""
        return tuple(self._pending_events)

    def collect_events(self) -> list[DomainEvent]:
        """Hand over the pending events, oldest first, and forget them."""
        collected, self._pending_events = self._pending_events, []
        return collected

    def trigger_event(
        self, event_class: type[DomainEvent], *, happened_at: datetime, causation: Causation, **facts: Any
    ) -> None:
        """Record a fact: the next version of this stream, applied at once, stored when collected."""
        event = event_class(
            originator_id=self.id,
            originator_version=self.version + 1,
            happened_at=happened_at,
            causation=causation,
            **facts,
        )
        self.apply(event)
        self._pending_events.append(event)

    def _evolve(self, event: DomainEvent) -> None:
        raise NotImplementedError
