"""An event that can be read but whose rows cannot be written, named in a sentence."""

from __future__ import annotations

from typing import Final

from domain.aggregate import DomainEvent
from infrastructure.errors import OperatorError


class UnwritableEventError(OperatorError):
    """Somebody who follows the log cannot write what an event comes to. The text names the event and what to do.

    `reason` holds nothing of the event's values: they may be personal.
    """

    def __init__(self, event: DomainEvent, writer: str, reason: str) -> None:
        self.sentence: Final = (
            f"Event {event.originator_version} of stream {event.originator_id} (topic {event.topic!r}) cannot be "
            f"written by {writer}: {reason}."
        )
        super().__init__(
            f"{self.sentence} Nothing is lost: {writer} waits at it. Report it, and run a release of RAS that "
            "writes it."
        )
