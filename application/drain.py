"""Ingests the messages that wait in a stream, in order and once.

Theory of operation. The messages that wait are those MessageParked events of the stream that no MessageDrained
names; both lie in the stream itself, so the queue needs no table. A stretch of them is translated and
applied in one transaction under the store's lock; the events that each message makes are followed by its
MessageDrained. Killed anywhere, the next call goes on behind the last stretch that was committed.

Meanwhile ingesters go on parking what comes for this stream: they still see messages waiting, and their
events go behind. The last stretch finds nothing left, under the lock; anyone who writes after it
learns by the conflict of versions that nobody waits any more.

A message on which our own code fails again stops the draining: it and all behind it stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final

from application.aggregates import Kind, Load, catch_up, load_aggregates
from application.deciding import dead_letter, letter_id
from application.kept_message import message_of
from application.ports import EventStorePort, StoreTransaction, UnreadableEvents, UnstorableError
from application.responses import dead_letters as responses
from application.translate import Rejection, translate
from application.translated_messages import READERS, carry_out
from domain.aggregate import DomainEvent
from domain.assessment import ASSESSMENT_STREAMS, AssessmentAggregate
from domain.batch import BATCH_STREAMS, BatchAggregate
from domain.batch_events import DrainOutcome, MessageDrained, MessageParked
from domain.dead_letters import Reason
from domain.language_analysis import ANALYSIS_STREAMS, LanguageAnalysisAggregate
from domain.parking import ParkableStream, UnreadableStream

_AT_ONCE: Final = 500
"""Messages in one transaction: long enough to be fast, short enough that ingesters wait for the lock without notice."""

_KINDS: Final[Mapping[str, Kind]] = {
    BATCH_STREAMS: BatchAggregate,
    ASSESSMENT_STREAMS: AssessmentAggregate,
    ANALYSIS_STREAMS: LanguageAnalysisAggregate,
}

STREAM_PREFIXES: Final = tuple(_KINDS)
"""How the names of the streams begin in which messages can wait."""


class NoSuchStreamError(LookupError):
    """No messages can wait in a stream of this name, or nothing was ever recorded in it."""


class StillUnreadableError(Exception):
    """The events of the stream cannot be folded by this release: nothing can be ingested behind them."""


@dataclass(slots=True)
class Drained:
    """What a call came to. `fault` says what stopped it, None where the queue is empty now."""

    outcomes: dict[DrainOutcome, int] = field(default_factory=lambda: dict.fromkeys(DrainOutcome, 0))
    left: int = 0
    fault: str | None = None

    def as_json(self) -> responses.Drained:
        """Return it as plain JSON values."""
        outcomes = {outcome.value: number for outcome, number in self.outcomes.items()}
        return {"outcomes": outcomes, "left": self.left, "fault": self.fault}


@dataclass(slots=True)
class _Stretch:
    events: list[DomainEvent] = field(default_factory=list)
    done: dict[int, DrainOutcome] = field(default_factory=dict)
    fault: str | None = None


class DrainParked:
    """The use case. Blocks: keep it off the event loop."""

    def __init__(
        self, store: EventStorePort, *, future_tolerance: timedelta, notes_progress: bool = True
    ) -> None:
        self._store = store
        self._notes_progress = notes_progress
        self._future_tolerance = future_tolerance

    def __call__(
        self, stream_id: str, *, by: str, on_progress: Callable[[int, int], None] = lambda _done, _left: None
    ) -> Drained:
        """Take in what waits in the stream, for the operator `by`; `on_progress` hears how many are done and left.

        Raises NoSuchStreamError and StillUnreadableError; nothing has changed then.
        """
        kind = next((kind for prefix, kind in _KINDS.items() if stream_id.startswith(prefix)), None)
        if kind is None:
            raise NoSuchStreamError(f"There is no stream {stream_id!r} in which messages can wait.")
        drained = Drained()
        queue = _Queue()
        aggregates: dict[str, ParkableStream] = {}
        at_once, unstorable = _AT_ONCE, None
        while True:
            try:
                with self._store.transaction() as transaction:
                    load = queue.watching(transaction.load)
                    if not aggregates:
                        aggregates = load_aggregates({stream_id: kind}, load)
                    transaction.lock()
                    catch_up(aggregates, load)
                    aggregate = aggregates[stream_id]
                    if isinstance(aggregate, UnreadableStream):
                        raise StillUnreadableError(
                            f"The events of {stream_id} cannot be read by this release either: "
                            f"{queue.fault or 'they cannot be folded'}."
                        )
                    if aggregate.version == 0:
                        raise NoSuchStreamError(f"Nothing is recorded in a stream {stream_id!r}.")
                    stretch = self._take(aggregate, queue, at_once, by, unstorable, transaction)
                    transaction.append(stretch.events, [])
            except UnstorableError as error:
                # What was decided is void. One by one shows which message it is; that one becomes a dead letter.
                if unstorable is not None:
                    raise
                unstorable = str(error) if at_once == 1 else None
                at_once, queue, aggregates = 1, _Queue(), {}
                continue
            for version, outcome in stretch.done.items():
                drained.outcomes[outcome] += 1
                del queue.waiting[version]
            drained.left, drained.fault = len(queue.waiting), stretch.fault
            on_progress(sum(drained.outcomes.values()), drained.left)
            if stretch.fault is not None or not stretch.done:
                return drained
            unstorable = None

    def _take(
        self,
        aggregate: ParkableStream,
        queue: _Queue,
        at_once: int,
        by: str,
        unstorable: str | None,
        transaction: StoreTransaction,
    ) -> _Stretch:
        stretch = _Stretch()
        for version, parked in islice(queue.waiting.items(), at_once):
            now = datetime.now(UTC)
            try:
                rejection = self._applied(aggregate, parked, now, unstorable)
            except Exception as fault:  # noqa: BLE001 - our own code fails on it still: it waits on, and all behind it
                cause = parked.causation
                stretch.fault = f"{type(fault).__name__} at the message {cause.topic}/{cause.partition}/{cause.offset}: {fault}"
                return stretch
            events = aggregate.collect_events()
            outcome = DrainOutcome.RECORDED if events else DrainOutcome.REPEATED
            if rejection is not None:
                outcome, message = DrainOutcome.DEAD_LETTERED, message_of(parked)
                if not transaction.load({letter_id(message): 0}, most=1):
                    events = dead_letter(message, rejection)
            cause = replace(parked.causation, received_at=now)
            aggregate.drain(parked, outcome, by=by, happened_at=now, causation=cause)
            stretch.events += events + aggregate.collect_events()
            stretch.done[version] = outcome
        return stretch

    def _applied(
        self, aggregate: ParkableStream, parked: MessageParked, now: datetime, unstorable: str | None
    ) -> Rejection | None:
        """Let the aggregate decide what the message makes it record, or return why it is refused."""
        message = message_of(parked)
        if message.topic not in READERS:
            raise LookupError("this release does not read the topic")
        outcome = translate(message, received_at=now, future_tolerance=self._future_tolerance)
        if unstorable is not None:
            return Rejection(Reason.NOT_STORABLE, unstorable, outcome.causation)
        if isinstance(outcome, Rejection):
            return outcome
        commands = [command for command in outcome.commands if command.stream_id == aggregate.id]
        if not commands:
            raise LookupError("by this release it speaks of other streams only")
        for command in commands:
            carry_out(command, outcome, aggregate, notes_progress=self._notes_progress)
        return None


class _Queue:
    """The messages that wait in a stream, by the version of their event, as the stream is read."""

    def __init__(self) -> None:
        self.waiting: dict[int, MessageParked] = {}
        self.fault: str | None = None

    def watching(self, load: Load) -> Load:
        """Return `load`, of which the queue sees what passes."""

        def watched(
            after: Mapping[str, int], *, most: int
        ) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
            streams = load(after, most=most)
            for events in streams.values():
                self._see(events)
            return streams

        return watched

    def _see(self, events: list[DomainEvent] | UnreadableEvents) -> None:
        if isinstance(events, UnreadableEvents):
            self.fault = events.reason
            return
        for event in events:
            if isinstance(event, MessageParked):
                self.waiting[event.originator_version] = event
            elif isinstance(event, MessageDrained):
                self.waiting.pop(event.parked_version, None)
