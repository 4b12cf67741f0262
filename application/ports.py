"""The ports: what the use cases need from the outside world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from application.intake_positions import Partition, Ranges
from domain.aggregate import DomainEvent
from domain.slices import SliceRange


class StalePositionError(Exception):
    """Another owner has moved a position: nothing was written. Read the positions again, or stop."""


class StreamConflictError(Exception):
    """Another writer has appended to a stream: nothing was written. Load it again and decide again."""


class UnstorableError(Exception):
    """The store refuses these events for what they hold; trying again gives the same answer."""


@dataclass(frozen=True, slots=True)
class Advance:
    """Move the position `name` from `expected` to `to`; `mark` tells the last message up to there, None if nobody knows."""

    name: str
    expected: int
    to: int
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class UnreadableEvents:
    """Events of a stream of which one cannot be decoded: the version of the last, and why."""

    version: int
    reason: str


@dataclass(slots=True)
class IntakeCounts:
    """What became of the messages of one topic-partition; the last four add up to the first.

    A message that waits in any stream is parked; else one that any stream recorded is recorded.
    """

    taken_in: int = 0
    recorded: int = 0
    repeated: int = 0
    dead_lettered: int = 0
    parked: int = 0


class StoreTransaction(Protocol):
    """One transaction on the event store: all of it is committed, or nothing."""

    def lock(self) -> None:
        """Keep other writers out from here on: what is loaded after this cannot be outrun."""

    def load(
        self, after: Mapping[str, int], *, most: int
    ) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        """Return the events of each stream after the version given (0: all of them), in version order.

        At most `most` of a stream: anyone who gets so many asks again for more. Streams without are left out.
        """

    def claim(self, partitions: Sequence[Partition], slices: SliceRange) -> Mapping[Partition, Ranges]:
        """Return the positions of `slices` in each partition, and make them positions of these slices alone.

        Where another owner held some of them, its positions are no longer there.
        """

    def enrol(self, name: str) -> int:
        """Return the position `name` of an ingester, how many transactions it has made; a new one begins at 0.

        Ingesters that have written nothing for a month are forgotten.
        """

    def append(self, events: Sequence[DomainEvent], moves: Sequence[Advance]) -> None:
        """Append and move.

        Raises StreamConflictError, StalePositionError or UnstorableError; the transaction is then void.
        """

    def append_rows(self, rows: bytes, moves: Sequence[Advance]) -> None:
        """Append events that were encoded before, and move. Raises as `append` does."""

    def count(self, counts: Mapping[tuple[str, int], IntakeCounts]) -> None:
        """Add to the counts of each topic-partition."""


class EventStorePort(Protocol):
    """The store of all aggregates' events."""

    def transaction(self) -> AbstractContextManager[StoreTransaction]:
        """Run a block in one transaction: committed at its end, void if it raises."""


def ingester_position(ingester: str) -> str:
    """Return the name of the position of an ingester itself: how many transactions it has made."""
    return f"ingester/{ingester}"
