"""Dead letters: messages that RAS could not take in, kept whole so that nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from domain.aggregate import DomainEvent, EventSourcedAggregate
from domain.values import Causation


class Reason(StrEnum):
    """Why a message became a dead letter; stable names, used as filter and as metric label."""

    NO_VALUE = "no_value"
    NOT_JSON = "not_json"
    CONTRACT_VIOLATION = "contract_violation"
    IMPLAUSIBLE_TIME = "implausible_time"
    NOT_STORABLE = "not_storable"


@dataclass(frozen=True, kw_only=True)
class MessageDeadLettered(DomainEvent):
    """A message was put aside. `key`, `value` and header values are base64 of the raw bytes."""

    topic: ClassVar = "ras.dead-letter.message-dead-lettered.v1"

    reason: Reason
    detail: str
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...]


class DeadLetter(EventSourcedAggregate):
    """One message put aside, known by its coordinates and its time."""

    def record(
        self,
        *,
        reason: Reason,
        detail: str,
        key: str | None,
        value: str | None,
        headers: tuple[tuple[str, str], ...],
        happened_at: datetime,
        causation: Causation,
    ) -> None:
        """Put the message aside, with the reason and a sentence for a person."""
        self.trigger_event(
            MessageDeadLettered,
            reason=reason,
            detail=detail,
            key=key,
            value=value,
            headers=headers,
            happened_at=happened_at,
            causation=causation,
        )

    def _evolve(self, event: DomainEvent) -> None:
        """Nothing is decided about a dead letter yet, so nothing is remembered."""


def dead_letter_stream_id(topic: str, partition: int, offset: int, timestamp_ms: int) -> str:
    """Return the stream of one message; its time tells apart offsets of a topic that was made anew."""
    return f"dead-letter-{topic}-{partition}-{offset}-{timestamp_ms}"
