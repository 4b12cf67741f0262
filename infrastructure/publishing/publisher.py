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
import contextlib
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from application.envelopes import OutgoingMessage, outgoing_messages
from application.topics import OUTPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.errors import OperatorError
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
    from_marks,
    to_marks,
    too_many,
)
from infrastructure.publishing.position_topic import (
    PublishedPosition,
    PublisherPositionError,
    check_memory,
    check_resumable,
    read_position,
    restored,
)
from infrastructure.publishing.record_batches import MessageTooLargeError, RecordBatches
from infrastructure.role_status import RoleStatus
from projections.recorded import Recorded

if TYPE_CHECKING:
    from infrastructure.tracing.messages import MessageTracer

_log = structlog.get_logger(__name__)

_STOP_TIMEOUT_S: Final = 5.0
_HEARTBEAT_S: Final = 10.0
"""How often an idle publisher writes its position again, to learn that it has been fenced."""

_RETRY_S: Final = 10.0
"""How often topics that refused a message are asked whether their settings have changed."""
_PROBE_S: Final = 300.0
"""How often parked events are tried where the settings of the topic cannot be known."""

_EVENTS_AT_A_TIME: Final = 100
"""How many events are made into messages before the event loop gets its turn."""

_MESSAGES_AT_A_TIME: Final = 500
"""How many records are put into batches before the event loop gets its turn."""


class PublisherFencedError(OperatorError):
    """Another publisher with the same transactional id has started: this one must end, not retry."""


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
        self._resume_at = resume_at
        self._after_restore = after_restore
        self._sayings = AnnouncedIndex(bootstrap_servers, copy, log)
        self._reached = 0
        self._mark: str | None = None
        self._tracer = tracer
        self._producer: AIOKafkaProducer | None = None
        self._limits: dict[str, int] = {}
        self._refusals = Refusals(clients.compression())
        self._parked: Parked = ()
        self._tried_at = self._probed_at = 0.0
        self._written_at = 0.0

    async def position(self) -> int:
        """Fence older publishers and return the notification id last published.

        Raises PublisherPositionError when Kafka and PostgreSQL contradict each other.
        """
        await self._discard_producer()
        await self._may_take_over()
        producer = clients.producer(
            self._bootstrap_servers,
            transactional_id=self._transactional_id,
            compression_type=clients.compression(),
            max_batch_size=256 * 1024,
            max_request_size=16 * 1024 * 1024,
            linger_ms=0,
            transaction_timeout_ms=int((self._timeout_s + clients.REQUEST_TIMEOUT_S) * 1000),
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                self._status.waits_for(f"Kafka, to take over as {self._transactional_id!r}")
                await producer.start()
                self._producer = producer
                self._status.waits_for(f"Kafka, to read its position in {PUBLISHER_POSITION}")
                found = await read_position(self._bootstrap_servers, self._transactional_id)
        except (KafkaError, TimeoutError, OSError) as error:
            self._producer = producer
            await self._discard_producer()
            raise TransientSinkError(faults.sentence(error)) from error
        self._status.waits_for("Kafka, to learn the settings of the topics")
        await self._learn_limits()
        self._status.waits_for("the database, to compare its position")
        self._reached = await self._checked(found)
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
                not_yet_announced = self._sayings.not_yet_announced(outgoing)
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
        await self._discard_producer()
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
        producer = self._producer
        assert producer is not None, "position() comes first"
        mark = await self._continued(to)
        compared_to = await self._sayings.compared_to(to)
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.begin_transaction()
                position = PublishedPosition(to, mark, compared_to, parked)
                await self._send(producer, messages, position)
                await producer.commit_transaction()
        except ProducerFenced as error:
            await self._discard_producer()
            raise PublisherFencedError(
                f"Another publisher with the transactional id {self._transactional_id!r} has taken over. "
                "This one ends; nothing is lost and nothing is sent twice."
            ) from error
        except MessageTooLargeError as error:
            await self._discard_producer()
            if error.smaller_batches:  # many messages that fit one by one
                self._limits[error.topic] = error.size // 2
            else:
                self._refusals.note(error.largest, error.size)
            raise TransientSinkError(str(error)) from error
        except (KafkaError, TimeoutError, OSError) as error:
            await self._discard_producer()
            raise TransientSinkError(faults.sentence(error, needs="WRITE")) from error
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

    async def _send(
        self,
        producer: AIOKafkaProducer,
        messages: Sequence[OutgoingMessage],
        reached: PublishedPosition,
    ) -> None:
        """Send `messages` and the position with its mark; return when the broker has acknowledged all."""
        records = RecordBatches(producer, self._limits)
        for start in range(0, len(messages), _MESSAGES_AT_A_TIME):
            if start:
                await asyncio.sleep(0)  # full batches travel while the next are filled
            await records.put(messages[start : start + _MESSAGES_AT_A_TIME])
        if len(reached.parked) < len(self._parked):
            await (
                records.acknowledged()
            )  # what was parked may be refused again, and nothing else is there in vain
        await records.put_at(reached.message(self._transactional_id), 0)
        await records.acknowledged()

    async def _may_take_over(self) -> None:
        """Refuse, or raise that a server is unavailable, before an older publisher that works is fenced.

        It goes on meanwhile, so its copy is read before its position, and the end of the store last.
        """
        self._status.waits_for("the database, to read the copy of its position")
        copy = await self._copy.read()
        self._status.waits_for(f"Kafka, to read its position in {PUBLISHER_POSITION}")
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await read_position(self._bootstrap_servers, self._transactional_id)
        except (KafkaError, TimeoutError, OSError) as error:
            raise TransientSinkError(faults.sentence(error, needs="READ")) from error
        head = await self._log.head()
        if self._resume_at is not None:
            check_resumable(self._resume_at, head)
            return
        check_memory(found, copy)
        if not self._after_restore and (complaint := await restored(found, self._copy, head)) is not None:
            raise PublisherPositionError(complaint)

    async def _checked(self, found: PublishedPosition | None) -> int:
        head = await self._log.head()
        if self._resume_at is not None:
            return await self._resumed(found, self._resume_at, head)
        position = found.position if found else 0
        copy = await self._copy.read()
        check_memory(found, copy)
        if found is None:
            return 0
        self._parked = found.parked
        if from_marks(await self._copy.parked()) != found.parked:
            await self._copy.write_parked(to_marks(found.parked))
        if self._after_restore:
            return await self._gone_back(position, copy, head)
        if (complaint := await restored(found, self._copy, head)) is not None:
            raise PublisherPositionError(complaint)
        if found.compared_to > position:
            await self._compare(found.compared_to)
        return position

    async def _resumed(self, found: PublishedPosition | None, resumed: int, head: int) -> int:
        """Go on where a person says."""
        check_resumable(resumed, head)
        parked = from_marks(await self._copy.parked()) if found is None else found.parked
        await self._write_anew(resumed, parked)
        await self._copy.set_not_sent(OUTPUT_TOPICS, resumed)
        self._resume_at = None
        _log.warning("publisher.position_set", position=resumed, was=found and found.position)
        return resumed

    async def _gone_back(self, position: int, copy: int, head: int) -> int:
        """Go back to the copy, which was restored with the store, and leave out what has been said since."""
        await self._compare(max(position, head))
        await self._write_anew(copy, from_marks(await self._copy.parked()))
        self._after_restore = False
        _log.warning("publisher.after_restore", position=copy, was=position, said=len(self._sayings))
        return copy

    async def _compare(self, until: int) -> None:
        """Learn what has been said; a publisher that takes over before all is compared does so too."""
        self._status.waits_for("Kafka, to read what was published before the restore")
        try:
            await self._sayings.learn(until)
        except (KafkaError, OSError) as error:
            raise TransientSinkError(faults.sentence(error)) from error

    async def _write_anew(self, position: int, parked: Parked) -> None:
        """Write a position that does not follow from the one before. What lies behind it is not parked."""
        self._mark = None
        kept = tuple(each for each in parked if each.notification_id <= position)
        await self._transact((), position, kept)
        await self._copy.write_parked(to_marks(kept))  # what it held may be of another day

    async def _discard_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        # stop() first sends what is buffered, for as long as that takes. Whatever is buffered here belongs
        # to a transaction that nobody will commit, so the sending task is ended first.
        sender_task = producer._sender.sender_task  # noqa: SLF001 - aiokafka has no way to drop a producer
        if sender_task is not None:
            sender_task.cancel()
        with contextlib.suppress(KafkaError, TimeoutError, OSError, asyncio.InvalidStateError):
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await producer.stop()
