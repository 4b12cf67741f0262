"""The event store in memory: what the real one promises, without a server, and with faults on demand.

`event_store_contract.py` runs the same tests on this and on PostgreSQL, so the two cannot drift apart.
Events are kept in their stored form and pass the real codec both ways. There is one thread: where the
real store would let a second writer wait for the lock, the fake says at once what the wait would end in.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from enum import StrEnum, auto
from struct import unpack_from
from typing import Final

from eventsourcing.persistence import OperationalError, StoredEvent

from application.intake_positions import (
    IntakePosition,
    Partition,
    Ranges,
    claimed,
    intake_position,
    partition_in,
    slices_in,
)
from application.ports import (
    Advance,
    IntakeCounts,
    StalePositionError,
    StreamConflictError,
    UnreadableEvents,
    UnstorableError,
)
from domain.aggregate import DomainEvent
from domain.slices import SliceRange
from infrastructure.eventstore.codec import EventCodec, UndecodableEventError
from infrastructure.eventstore.event_registry import event_codec

_MAX_ID_BYTES: Final = 2704
"""What fits into a B-tree entry of PostgreSQL."""


class Step(StrEnum):
    """The moments of a transaction at which something else may happen, or everything may end."""

    BEGIN = auto()
    LOCK = auto()
    LOAD = auto()
    CLAIM = auto()
    APPEND = auto()
    COUNT = auto()
    COMMIT = auto()
    COMMITTED = auto()
    """The transaction is durable, but the caller does not know it yet: an error here is a lost answer."""


class FakeEventStore:
    """Streams, positions and counts in dictionaries. `on_step` is called before each step is done."""

    def __init__(self, codec: EventCodec | None = None) -> None:
        self.codec = codec or event_codec()
        self.log: list[tuple[int, StoredEvent]] = []
        self.positions: dict[str, int] = {}
        self.marks: dict[str, str | None] = {}
        self.counts: dict[tuple[str, int], IntakeCounts] = {}
        self.on_step: Callable[[Step], None] = lambda _step: None
        self._streams: dict[str, list[StoredEvent]] = {}
        self._notification_id = 0
        self._writer: FakeTransaction | None = None

    @contextmanager
    def transaction(self) -> Iterator[FakeTransaction]:
        """Run a block in one transaction: committed at its end, void if it raises."""
        self.on_step(Step.BEGIN)
        transaction = FakeTransaction(self)
        try:
            yield transaction
            self.on_step(Step.COMMIT)
            transaction.commit()
        finally:
            if self._writer is transaction:
                self._writer = None
        self.on_step(Step.COMMITTED)

    def stream(self, stream_id: str) -> list[StoredEvent]:
        """Return the stored events of one stream."""
        return list(self._streams.get(stream_id, ()))

    @property
    def intake_positions(self) -> dict[str, int]:
        """The positions in Kafka, without those that ingesters keep of themselves."""
        return {name: at for name, at in self.positions.items() if name.startswith("intake/")}

    @property
    def events(self) -> list[DomainEvent]:
        """Every recorded event, in the order of the log."""
        return [self.codec.to_domain_event(stored) for _, stored in self.log]

    def take_lock(self, transaction: FakeTransaction) -> None:
        """Make `transaction` the only writer, or fail as a lock time-out does."""
        if self._writer not in (None, transaction):
            raise OperationalError("canceling statement due to lock timeout")
        self._writer = transaction

    def next_notification_id(self) -> int:
        """Give out an id; like a sequence's, it is gone even if the transaction comes to nothing."""
        self._notification_id += 1
        return self._notification_id

    def put(self, notification_id: int, stored: StoredEvent) -> None:
        """Make one event durable."""
        self.log.append((notification_id, stored))
        self._streams.setdefault(str(stored.originator_id), []).append(stored)


class FakeTransaction:
    """What one transaction would change, kept aside until it is committed."""

    def __init__(self, store: FakeEventStore) -> None:
        self._store = store
        self._events: list[tuple[int, StoredEvent]] = []
        self._positions: dict[str, int | None] = {}
        self._marks: dict[str, str | None] = {}
        self._counts: dict[tuple[str, int], IntakeCounts] = {}

    def lock(self) -> None:
        """Keep other writers out."""
        self._store.on_step(Step.LOCK)
        self._store.take_lock(self)

    def load(
        self, after: Mapping[str, int], *, most: int
    ) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
        """Return the events of each stream after the version given, at most `most` of a stream."""
        found = {
            stream_id: [s for s in self._stored(stream_id) if s.originator_version > version][:most]
            for stream_id, version in after.items()
        }
        loaded = {stream_id: self._decoded(stored) for stream_id, stored in found.items() if stored}
        self._store.on_step(Step.LOAD)  # after reading: what others write from here on is not in it
        return loaded

    def claim(self, partitions: Sequence[Partition], slices: SliceRange) -> Mapping[Partition, Ranges]:
        """Return the positions of `slices`, made positions of these slices alone."""
        self._store.on_step(Step.CLAIM)
        owned: dict[Partition, Ranges] = {}
        for partition in partitions:
            names = self._names_in(intake_position(*partition))
            known = [
                IntakePosition(slices_in(name), self._position(name) or 0, self._mark(name)) for name in names
            ]
            own, others = claimed(known, slices)
            after = {intake_position(*partition, each.slices): each for each in (*own, *others)}
            if after.keys() != names or {*own, *others} != set(known):
                self._positions |= dict.fromkeys(names, None)
                self._positions |= {name: each.offset for name, each in after.items()}
                self._marks |= {name: each.mark for name, each in after.items()}
            owned[partition] = own
        return owned

    def enrol(self, name: str) -> int:
        """Return an ingester's own position, 0 for a new one."""
        self._positions[name] = position = self._position(name) or 0
        return position

    def append(self, events: Sequence[DomainEvent], moves: Sequence[Advance]) -> None:
        """Append and move, or raise what the real store raises."""
        self._append([self._encoded(event) for event in events], moves)

    def append_rows(self, rows: bytes, moves: Sequence[Advance]) -> None:
        """Append what the codec has encoded, and move."""
        self._append(list(_events_in(rows)), moves)

    def _append(self, events: Sequence[StoredEvent], moves: Sequence[Advance]) -> None:
        self._store.on_step(Step.APPEND)
        self._store.take_lock(self)
        stale = [move for move in moves if self._position(move.name) != move.expected]
        if stale:
            moved = [
                f"{m.name} is gone" if at is None else f"{m.name} is at {at}, not {m.expected}"
                for m in stale
                for at in [self._position(m.name)]
            ]
            raise StalePositionError(f"Another owner is at work: {'; '.join(moved)}.")
        self._positions.update((move.name, move.to) for move in moves)
        self._marks.update((move.name, move.mark) for move in moves)
        for move in moves:
            if move.to < move.expected:
                for name in self._names_in(partition_in(move.name)) - {move.name}:
                    self._positions[name], self._marks[name] = move.to, None
        for stored in events:
            stream_id, version = str(stored.originator_id), stored.originator_version
            if any(known.originator_version == version for known in self._stored(stream_id)):
                raise StreamConflictError(f"{stream_id} has version {version}")
            self._events.append((self._store.next_notification_id(), stored))

    def count(self, counts: Mapping[tuple[str, int], IntakeCounts]) -> None:
        """Add to the counts of each topic-partition."""
        self._store.on_step(Step.COUNT)
        for key, added in counts.items():
            known = self._counts.get(key, self._store.counts.get(key, IntakeCounts()))
            self._counts[key] = summed(known, added)

    def commit(self) -> None:
        """Make everything durable at once."""
        for notification_id, stored in self._events:
            self._store.put(notification_id, stored)
        for name, position in self._positions.items():
            if position is None:
                self._store.positions.pop(name, None)
            else:
                self._store.positions[name] = position
        self._store.marks.update(self._marks)
        self._store.counts.update(self._counts)

    def _position(self, name: str) -> int | None:
        return self._positions[name] if name in self._positions else self._store.positions.get(name)

    def _mark(self, name: str) -> str | None:
        return self._marks[name] if name in self._marks else self._store.marks.get(name)

    def _names_in(self, partition: str) -> set[str]:
        """Return the names of all positions of the partition that are known."""
        return {
            name
            for name in self._store.positions.keys() | self._positions.keys()
            if partition_in(name) == partition and self._position(name) is not None
        }

    def _stored(self, stream_id: str) -> list[StoredEvent]:
        own = [stored for _, stored in self._events if stored.originator_id == stream_id]
        return self._store.stream(stream_id) + own

    def _encoded(self, event: DomainEvent) -> StoredEvent:
        try:
            stored = self._store.codec.to_stored_event(event)
            size = len(event.originator_id.encode())
        except (TypeError, ValueError) as error:
            raise UnstorableError(f"{type(error).__name__}: {error}") from error
        if "\x00" in event.originator_id or size > _MAX_ID_BYTES:
            raise UnstorableError(f"PostgreSQL takes no stream id of {size} bytes, and no U+0000")
        return stored

    def _decoded(self, stored: list[StoredEvent]) -> list[DomainEvent] | UnreadableEvents:
        try:
            return [self._store.codec.to_domain_event(event) for event in stored]
        except UndecodableEventError as error:
            return UnreadableEvents(stored[-1].originator_version, f"{error.place}: {error.reason}")


def _events_in(rows: bytes) -> Iterator[StoredEvent]:
    """Read rows of PostgreSQL's binary COPY: the number of fields, then the length and the bytes of each."""
    at = 0
    while at < len(rows):
        [number] = unpack_from(">h", rows, at)
        at += 2
        fields = []
        for _ in range(number):
            [length] = unpack_from(">i", rows, at)
            fields.append(rows[at + 4 : at + 4 + length])
            at += 4 + length
        stream_id, version, topic, state = fields
        yield StoredEvent(stream_id.decode(), int.from_bytes(version, signed=True), topic.decode(), state)


def summed(one: IntakeCounts, other: IntakeCounts) -> IntakeCounts:
    """Return the sum of two counts."""
    total = copy(one)
    for name in IntakeCounts.__slots__:
        setattr(total, name, getattr(one, name) + getattr(other, name))
    return total


def random_text(length: int) -> str:
    """Return letters that do not compress, always the same: PostgreSQL measures keys compressed."""
    dice = random.Random("text")
    return "".join(dice.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=length))
