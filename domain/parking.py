"""Messages that wait: RAS's own code failed on one, so it and the later ones of its aggregate are kept.

They are kept in the aggregate's own stream. That makes the parking itself subject to the stream's version:
anyone who writes to the stream at the same time learns of it by the conflict and parks its message too.
"""

from __future__ import annotations

from datetime import datetime

from domain.aggregate import DomainEvent, EventSourcedAggregate
from domain.batch_events import DrainOutcome, MessageDrained, MessageParked
from domain.values import Causation


class ParkableStream(EventSourcedAggregate):
    """A stream in which messages can be parked, in the order of their arrival."""

    @property
    def is_parked(self) -> bool:
        """Whether messages wait here for a fix of our own code."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """How many essays or judges' answers the aggregate holds in memory."""
        raise NotImplementedError

    def park(
        self,
        *,
        fault: str | None = None,
        reason: str,
        key: str | None,
        value: str | None,
        headers: tuple[tuple[str, str], ...],
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Keep a message that cannot be digested now (base64 of its bytes), behind those parked before.

        `fault` is the kind of our own fault; without one the message waits behind another.
        """
        self.trigger_event(
            MessageParked,
            fault=fault,
            reason=reason,
            key=key,
            value=value,
            headers=headers,
            happened_at=happened_at,
            causation=causation,
        )

    def drain(
        self,
        parked: MessageParked,
        outcome: DrainOutcome,
        *,
        by: str,
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Note that the message `parked`, the first of those that wait, was taken in after all."""
        self.trigger_event(
            MessageDrained,
            parked_version=parked.originator_version,
            outcome=outcome,
            by=by,
            happened_at=happened_at,
            causation=causation,
        )


class UnreadableStream(ParkableStream):
    """A stream whose recorded events our own code cannot fold: all it takes is messages to park."""

    def __init__(self, stream_id: str, version: int) -> None:
        super().__init__(stream_id)
        self.version = version

    @property
    def is_parked(self) -> bool:
        """Always: nothing can be decided here."""
        return True

    @property
    def size(self) -> int:
        """Nothing is held."""
        return 0

    def _evolve(self, event: DomainEvent) -> None:
        """Nothing is known of this stream but its version."""
