"""Decides what messages make their aggregates record. Nothing is written here.

A message that could not be read becomes a dead letter. A message on which our own code fails is parked in the
aggregate's stream, and what follows for the aggregate waits behind it, while all others go on: those to which the
same message speaks, too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from application.aggregates import AggregateCache, Load, Streams, load_aggregates
from application.messages import IncomingMessage
from application.ports import EventStorePort, IntakeCounts
from application.translate import Rejection
from application.translated_messages import Command, TranslatedMessage, carry_out
from domain.aggregate import DomainEvent
from domain.batch_events import MessageParked
from domain.dead_letters import DeadLetter, MessageDeadLettered, dead_letter_stream_id
from domain.immutable import immutable
from domain.parking import ParkableStream

PutAside = MessageDeadLettered | MessageParked
"""The events that tell of a message in a dead letter, or parked."""

_WAITS: Final = "An earlier message of this stream is parked."


@immutable()
class Intake:
    """A message and what it was translated to."""

    message: IncomingMessage
    outcome: TranslatedMessage | Rejection


@dataclass(slots=True)
class IngestResult:
    """What a micro-batch came to."""

    events: list[DomainEvent] = field(default_factory=list)
    counts: dict[tuple[str, int], IntakeCounts] = field(default_factory=dict)
    conflicts: int = 0

    def count(self, message: IncomingMessage, kind: str) -> None:
        """Count one message under `kind`, a field of IntakeCounts."""
        counts = self.counts.setdefault((message.topic, message.partition), IntakeCounts())
        counts.taken_in += 1
        setattr(counts, kind, getattr(counts, kind) + 1)

    def put_aside(self) -> list[PutAside]:
        """Return the events that tell of messages in dead letters or parked."""
        if not any(counts.dead_lettered or counts.parked for counts in self.counts.values()):
            return []
        return [event for event in self.events if isinstance(event, PutAside)]

    def add(self, other: IngestResult) -> None:
        """Take over what another part of the same micro-batch came to."""
        self.events += other.events
        self.conflicts += other.conflicts
        add_counts(self.counts, other.counts)


def add_counts(
    counts: dict[tuple[str, int], IntakeCounts], others: Mapping[tuple[str, int], IntakeCounts]
) -> None:
    """Add `others` to `counts`, partition by partition."""
    for partition, other in others.items():
        mine = counts.setdefault(partition, IntakeCounts())
        for name in IntakeCounts.__slots__:
            setattr(mine, name, getattr(mine, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Decided:
    """What a micro-batch makes its aggregates record: `rows` as the store takes them, and what becomes of the messages.

    `put_aside` are those of the events that tell of messages in dead letters or parked.
    """

    rows: bytes
    counts: dict[tuple[str, int], IntakeCounts]
    put_aside: list[PutAside]


class DecideAhead:
    """Decides on a micro-batch while those before it are still being recorded.

    It takes for granted that they will be. If one of them is not, everything that was decided after it must be
    dropped, because it would leave a gap in its streams, and `forget` must be called. For one thread.
    """

    def __init__(self, store: EventStorePort, cache: AggregateCache, *, notes_progress: bool) -> None:
        self._store = store
        self._cache = cache
        self._notes_progress = notes_progress
        self._not_recorded: dict[int, Collection[str]] = {}

    @property
    def cache(self) -> AggregateCache:
        """The aggregates at hand, as they will be."""
        return self._cache

    def forget(self) -> None:
        """Begin again from what is recorded."""
        self._cache.clear()
        self._not_recorded.clear()

    def decide(self, intakes: Sequence[Intake], *, number: int, recorded: int) -> IngestResult:
        """Return what `intakes`, the micro-batch `number`, make their aggregates record.

        Those up to the number `recorded` are recorded. What the others decided is only here, so the aggregates stay
        in the cache whatever its bound is. Raises the store's errors; call `forget` then.
        """
        for each in [each for each in self._not_recorded if each <= recorded]:
            del self._not_recorded[each]
        with self._store.transaction() as transaction:
            aggregates = self._cache.fetch(streams_of(intakes), transaction.load)
            taken = decide(
                intakes, aggregates, frozenset(), transaction.load, notes_progress=self._notes_progress
            )
        self._not_recorded[number] = aggregates.keys()
        self._cache.keep(aggregates, held=set(chain.from_iterable(self._not_recorded.values())))
        return taken


def streams_of(intakes: Iterable[Intake]) -> Streams:
    """Return the streams to which `intakes` speak, and what their events are folded into."""
    return {
        command.stream_id: command.kind
        for intake in intakes
        if isinstance(intake.outcome, TranslatedMessage)
        for command in intake.outcome.commands
    }


def decide(
    intakes: Sequence[Intake],
    aggregates: dict[str, ParkableStream],
    known_letters: frozenset[str],
    load: Load,
    *,
    notes_progress: bool,
) -> IngestResult:
    """Let `aggregates` decide what `intakes` make them record; a letter that is known already is a repeat."""
    taken = IngestResult()
    for intake in intakes:
        message, outcome = intake.message, intake.outcome
        if isinstance(outcome, Rejection):
            if letter_id(message) in known_letters:
                taken.count(message, "repeated")
                continue
            taken.events += dead_letter(message, outcome)
            taken.count(message, "dead_lettered")
            continue
        kind = "repeated"
        for command in outcome.commands:
            became = _apply(command, message, outcome, aggregates, taken, load, notes_progress=notes_progress)
            if became != "repeated" and kind != "parked":
                kind = became
        taken.count(message, kind)
    return taken


def _apply(
    command: Command,
    message: IncomingMessage,
    statement: TranslatedMessage,
    aggregates: dict[str, ParkableStream],
    taken: IngestResult,
    load: Load,
    *,
    notes_progress: bool,
) -> str:
    """Add what the command makes its aggregate record to `taken`; return what became of the message there."""
    aggregate = aggregates[command.stream_id]
    reason = _WAITS
    kind: str | None = None
    if not aggregate.is_parked:
        try:
            carry_out(command, statement, aggregate, notes_progress=notes_progress)
        except Exception as fault:  # noqa: BLE001 - whatever our own code does wrong, only this stream waits
            kind = type(fault).__name__
            reason = f"{kind}: {fault}"
            aggregate = aggregates[command.stream_id] = _as_before(command, taken, load)
        else:
            events = aggregate.collect_events()
            taken.events += events
            return "recorded" if events else "repeated"
    aggregate.park(
        fault=kind,
        reason=reason,
        key=_base64(message.key),
        value=_base64(message.value),
        headers=tuple((name, b64encode(value).decode()) for name, value in message.headers),
        happened_at=statement.happened_at,
        causation=statement.causation,
    )
    taken.events += aggregate.collect_events()
    return "parked"


def _as_before(command: Command, taken: IngestResult, load: Load) -> ParkableStream:
    """Return the aggregate as it was before the command on which our code failed half-way."""
    stream_id = command.stream_id
    aggregate = load_aggregates({stream_id: command.kind}, load)[stream_id]
    for event in taken.events:
        if event.originator_id == stream_id:
            aggregate.apply(event)
    return aggregate


def letter_id(message: IncomingMessage) -> str:
    """Return the stream of the letter that holds `message`, should it become one."""
    return dead_letter_stream_id(message.topic, message.partition, message.offset, message.timestamp_ms)


def letter_ids(intakes: Sequence[Intake]) -> list[str]:
    """Return the streams of the letters that hold those of `intakes` that could not be read."""
    return [letter_id(intake.message) for intake in intakes if isinstance(intake.outcome, Rejection)]


def dead_letter(message: IncomingMessage, rejection: Rejection) -> list[DomainEvent]:
    """Return the events of a letter that holds `message`."""
    letter = DeadLetter(letter_id(message))
    letter.record(
        reason=rejection.reason,
        detail=rejection.detail,
        key=_base64(message.key),
        value=_base64(message.value),
        headers=tuple((name, b64encode(value).decode()) for name, value in message.headers),
        happened_at=message.timestamp,
        causation=rejection.causation,
    )
    return letter.collect_events()


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else b64encode(raw).decode()
