"""A message as it lies in a topic: bytes and coordinates, nothing understood yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One record of a topic-partition. `timestamp_ms` is the record's own, in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def timestamp(self) -> datetime:
        """The record's time."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)
