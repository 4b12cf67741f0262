"""A message as it is in a topic: bytes and coordinates, not yet read."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

from domain.immutable import immutable

_LAST_TIMESTAMP_MS: Final = 253_402_300_799_000
"""The last second of the year 9999."""

_DIGEST_BYTES: Final = 8


@immutable()
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
        """The record's time; the nearest that a datetime can hold, where its sender's clock was mad."""
        bounded = min(max(self.timestamp_ms, 0), _LAST_TIMESTAMP_MS)
        return datetime.fromtimestamp(bounded / 1000, UTC)

    @property
    def mark(self) -> str:
        """What tells this record from another one in its place: its offset, its time, a digest of key and value.

        It is kept beside the position: a topic that was deleted and recreated gives out its offsets a second
        time. Once written, its form must stay: an old mark is compared with a new one.
        """
        digest = blake2b(repr(self.key).encode(), digest_size=_DIGEST_BYTES)
        if self.value is not None:
            digest.update(b"=")  # an empty value is another one than none
            digest.update(self.value)
        return f"{self.offset}/{self.timestamp_ms}/{digest.hexdigest()}"
