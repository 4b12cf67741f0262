"""The publisher's sink: events and position in one Kafka transaction.

Theory of operation. The publisher's position is a record in a compacted topic, keyed by transactional
id and written in the same transaction as the messages it stands behind: either a consumer that reads
committed sees both, or neither exists. On start the producer is initialised first, which fences every
older producer of that id and ends its open transaction; only then is the position read, so that nobody
can move it any more. A time-out or an error in a transaction leaves its outcome unknown: the producer
is thrown away, and its successor reads what became of it.

PostgreSQL holds a copy of the position, written after each commit. It is never where the publisher goes
on from, but it tells when the compacted topic has lost its memory (the copy is ahead of it). With each
position goes a mark of the event at it. Before each transaction the store must still hold the event that
the last one ended at: if it does not, it was restored to an earlier day, and has perhaps given out the same
notification ids again, to other events. In either case the publisher refuses, because going on would say things
twice or not at all. After a restore a person starts it with `--after-restore`: it then goes back to the copy,
which is as old as the store, and leaves out whatever the out-topics show to have been said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka.errors import KafkaError

from application.envelopes import OutgoingMessage, outgoing_messages
from application.topics import OUTPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.followers.follower import TransientSinkError
from infrastructure.kafka import clients, faults
from infrastructure.kafka.topic_settings import largest_messages
from infrastructure.publishing.already_announced import AnnouncedIndex
from infrastructure.publishing.parked_messages import (
    OutgoingEvent,
    Parked,
    Refusals,
    complaint,
    divided,
    to_marks,
    too_many,
)
from infrastructure.publishing.position_topic import (
    PublishedPosition,
    PublisherPositionError,
    read_position,
    restored,
)
from infrastructure.publishing.record_batches import MessageTooLargeError
from infrastructure.publishing.starting_position import StartingPosition
from infrastructure.publishing.transactional_producer import TransactionalProducer
from infrastructure.role_status import RoleStatus
from projections.recorded import Recorded

if TYPE_CHECKING:
    from infrastructure.tracing.messages import MessageTracer

_log = structlog.get_logger(__name__)

_HEARTBEAT_S: Final = 10.0
"""How often an idle publisher writes its position again, to learn that it has been fenced."""

_RETRY_S: Final = 10.0
"""How often topics that refused a message are asked whether their settings have changed."""
_PROBE_S: Final = 300.0
"""How often parked events are tried where the settings of the topic cannot be known."""

_EVENTS_AT_A_TIME: Final = 100
"""How many events are made into messages before the event loop gets its turn."""


class KafkaSink:
    """Publishes what domain events say to the world."""

    def __init__(
        self,
        bootstrap_servers: str,
        transactional_id: str,
        log: NotificationLog,
        copy: PositionCopy,
        status: RoleStatus,
        *,
        timeout_s: float,
        resume_at: int | None = None,
        after_restore: bool = False,
        tracer: MessageTracer | None = None,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._transactional_id = transactional_id
        self._log = log
        self._copy = copy
        self._status = status
        self._timeout_s = timeout_s
        self._announced = AnnouncedIndex(bootstrap_servers, copy, log)
        self._starting = StartingPosition(
            log, copy, self._announced, status, resume_at=resume_at, after_restore=after_restore
        )
        self._reached = 0
        self._mark: str | None = None
        self._tracer = tracer
        self._producer = TransactionalProducer(bootstrap_servers, transactional_id, timeout_s=timeout_s)
        self._limits: dict[str, int] = {}
        self._refusals = Refusals(clients.compression())
        self._parked: Parked = ()
        self._tried_at = self._probed_at = 0.0
        self._written_at = 0.0

    async def position(self) -> int:
        """Fence older publishers and return the notification id last published.

        Raises PublisherPositionError when Kafka and PostgreSQL contradict each other.
        """
        await self._producer.discard()
        await self._check_start()
        try:
            async with asyncio.timeout(self._timeout_s):
                self._status.waits_for(f"Kafka, to take over as {self._transactional_id!r}")
                await self._producer.start()
                found = await self._read_position()
        except (KafkaError, TimeoutError, OSError) as error:
            await self._producer.discard()
            raise TransientSinkError(faults.sentence(error)) from error
        self._status.waits_for("Kafka, to learn the settings of the topics")
        await self._learn_limits()
        self._status.waits_for("the database, to compare its position")
        self._reached, self._parked = await self._starting.after(found, self._move)
        [self._mark] = await self._copy.marks(self._reached)
        return self._reached

    async def prepare(self, events: Sequence[Recorded]) -> list[OutgoingEvent]:
        """Return what `events` send."""
        prepared: list[OutgoingEvent] = []
        for start in range(0, len(events), _EVENTS_AT_A_TIME):
            if start:
                await asyncio.sleep(0)  # the transaction before this one has its turn
            for recorded in events[start : start + _EVENTS_AT_A_TIME]:
                outgoing = outgoing_messages(recorded.event)
                not_yet_announced = self._announced.not_yet_announced(outgoing)
                if not not_yet_announced:
                    _log.info("publisher.said_before_the_restore", position=recorded.notification_id)
                prepared.append(
                    OutgoingEvent(recorded.notification_id, recorded.event.originator_id, not_yet_announced)
                )
        return prepared

    async def apply(self, prepared: list[OutgoingEvent], *, to: int) -> None:
        """Send messages and the position in one transaction. What a topic does not take is parked with it."""
        await self._try_parked()
        messages, parked = divided(prepared, self._parked, self._refusals)
        if too_many(parked):
            raise TransientSinkError(
                f"{complaint(parked)} So many are parked that everything waits until the topic is changed."
            )
        await self._send_traced(messages, to, parked)

    async def idle(self, position: int) -> None:
        """Write the position again now and then: a fenced publisher finds out although it has no work."""
        await self._try_parked()
        if monotonic() - self._written_at >= _HEARTBEAT_S:
            await self._transact((), position, self._parked)

    @property
    def parked_messages(self) -> int:
        """How many messages are parked."""
        return len(self._parked)

    def complaint(self) -> str | None:
        """Return a sentence on the events that are parked."""
        return complaint(self._parked)

    async def close(self) -> None:
        """End the producer and its connections."""
        await self._producer.discard()
        await self._copy.close()

    async def _learn_limits(self) -> None:
        largest = await largest_messages(self._bootstrap_servers, OUTPUT_TOPICS)
        self._limits.update(self._refusals.learn(largest))
        self._tried_at = monotonic()

    async def _try_parked(self) -> None:
        """Send what is parked and not refused any more, each topic and key in one transaction.

        Where it is refused after all, no record of another partition has been written in vain.
        """
        if not self._parked or monotonic() - self._tried_at < _RETRY_S:
            return
        await self._learn_limits()
        if monotonic() - self._probed_at >= _PROBE_S:
            self._probed_at = monotonic()
            self._refusals.forget_unknown()
        for lane in dict.fromkeys(each.lane for each in self._parked):
            recorded = [
                found
                for each in self._parked
                if each.lane == lane
                for found in (
                    await self._log.read(each.notification_id - 1, 1, to=each.notification_id)
                ).events
            ]
            messages = [
                message
                for event in await self.prepare(recorded)
                for message in event.messages
                if (message.topic, message.key.decode()) == lane
            ]
            if all(self._refusals.of(message) is None for message in messages):
                others = tuple(each for each in self._parked if each.lane != lane)
                await self._send_traced(messages, self._reached, others)
                _log.info("publisher.parked_messages_sent", topic=lane[0], messages=len(messages))

    async def _send_traced(self, messages: list[OutgoingMessage], to: int, parked: Parked) -> None:
        # The transactional id fences, not a comparison of positions.
        if self._tracer is None:
            await self._transact(messages, to, parked)
            return
        with self._tracer.sending(messages) as traced:
            await self._transact(traced, to, parked)

    async def _transact(self, messages: Sequence[OutgoingMessage], to: int, parked: Parked) -> None:
        mark = await self._continued(to)
        position = PublishedPosition(to, mark, await self._announced.compared_to(to), parked)
        try:
            await self._producer.transact(
                messages,
                position.message(self._transactional_id),
                self._limits,
                # What was parked may be refused again, and then nothing else is there in vain.
                position_last=len(parked) < len(self._parked),
            )
        except MessageTooLargeError as error:
            if error.smaller_batches:  # many messages that fit one by one
                self._limits[error.topic] = error.size // 2
            else:
                self._refusals.note(error.largest, error.size)
            raise TransientSinkError(str(error)) from error
        self._written_at = monotonic()
        self._reached, self._mark = to, mark
        await self._copy.write(to)
        if parked != self._parked:
            self._parked = parked
            await self._copy.write_parked(to_marks(parked))

    async def _continued(self, to: int) -> str | None:
        """Return the mark of `to`, or raise PublisherPositionError if the log is not the one published from."""
        before, mark = await self._copy.marks(self._reached, to)
        if self._mark is not None and before != self._mark:
            reached = PublishedPosition(self._reached, self._mark, 0)
            raise PublisherPositionError(await restored(reached, self._copy, await self._log.head()))
        return mark

    async def _check_start(self) -> None:
        """Refuse, or raise that a server is unavailable, before an older publisher that works is fenced."""
        self._status.waits_for("the database, to read the copy of its position")
        copy = await self._copy.read()
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._read_position()
        except (KafkaError, TimeoutError, OSError) as error:
            raise TransientSinkError(faults.sentence(error, needs="READ")) from error
        await self._starting.check(found, copy)

    async def _read_position(self) -> PublishedPosition | None:
        self._status.waits_for(f"Kafka, to read its position in {PUBLISHER_POSITION}")
        return await read_position(self._bootstrap_servers, self._transactional_id)

    async def _move(self, position: int, parked: Parked) -> Parked:
        """Write a position that does not follow from the one before. What lies behind it is not parked."""
        self._mark = None
        kept = tuple(each for each in parked if each.notification_id <= position)
        await self._transact((), position, kept)
        await self._copy.write_parked(to_marks(kept))  # what it held may be of another day
        return kept
