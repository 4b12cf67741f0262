"""The ingester's loop: from Kafka to the use case, with positions that PostgreSQL owns.

Theory of operation. The group protocol only says which slices of all batches are ours: each ingester reads all
partitions and leaves to the others what is of their slices (`slice_assignor.py`, `own_messages.py`). Where we are
stands in PostgreSQL, in the same transaction as the events; on every assignment the consumer seeks there. What
is committed to Kafka is late and only for tools that show lag: Kafka forgets it, and nothing here reads
it. When slices move to another ingester while we still work on their messages, one of the two finds
the position moved under it, drops what it holds, reads the positions again and seeks.

A micro-batch is whatever has arrived since the last one, up to a bound in messages and bytes: one
message when it is quiet (no waiting, low latency), a thousand under load (one fsync for all of them). In a
backlog messages come in the order of their times across partitions (`time_order.py`), and the next are
fetched and translated while some are in the database. Not so when little arrives: what was
fetched early would lie there until the transaction ends, and what comes after it would wait for one
transaction more. A seek makes what was fetched before or during it void (the epoch tells): taking it in could skip
what lies between. A seek goes to the message last ingested, to see whether it is still that one
(`infrastructure/intake/log_identity.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic, perf_counter, time_ns
from typing import Any, Final

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata

from application.ingest import IngestMicroBatch, Place
from application.intake_positions import Partition
from application.ports import StalePositionError
from application.topics import INPUT_TOPICS
from infrastructure.eventstore.store import TRANSIENT_ERRORS
from infrastructure.gc_pacing import GcPacer
from infrastructure.intake.deciding_processes import DecidingProcesses
from infrastructure.intake.disruption_detector import DisruptionDetector
from infrastructure.intake.incoming import raw
from infrastructure.intake.log_identity import LogIdentity
from infrastructure.intake.metrics import IntakeMeter
from infrastructure.intake.micro_batches import micro_batches
from infrastructure.intake.own_messages import OwnMessages, ReadAgainError
from infrastructure.intake.slice_assignor import SliceAssignor
from infrastructure.intake.time_order import TimeOrder
from infrastructure.intake.writing import BACKLOG_MESSAGES, MicroBatchWriter, Portion, Written
from infrastructure.kafka import clients, faults
from infrastructure.kafka.acls import unauthorized
from infrastructure.postgres import faults as database_faults
from infrastructure.resilience import Backoff
from infrastructure.role_status import RoleStatus
from infrastructure.settings import Settings
from infrastructure.telemetry import RoleMetrics
from infrastructure.tracing.messages import MessageTracer

_log = structlog.get_logger(__name__)

_POLL_TIMEOUT_MS: Final = 200
_LAG_INTERVAL_S: Final = 5.0
_PARTITION_BYTES: Final = 1_048_576
"""What one fetch brings of one partition at most, so that it brings something of each. A larger batch comes whole."""
_ANSWER_TIMEOUT_S: Final = 1.0
_THREADS: Final = 2
"""One translates, one is in the database. More would not work more, but each keeps memory of its own."""
_LOOK_INTERVAL_S: Final = 2.0
"""How often an ingester to which nothing comes looks whether the store is still where it left it."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Messages in micro-batches, the number of seeks before they were asked for, and where offsets without messages follow."""

    epoch: int
    portions: list[Portion]
    reached: dict[Place, int]


class Ingester(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Takes in the input topics until it is stopped. Several may run in one consumer group."""

    def __init__(
        self,
        use_case: IngestMicroBatch,
        settings: Settings,
        bootstrap_servers: str,
        metrics: RoleMetrics,
        status: RoleStatus,
        *,
        tracer: MessageTracer | None = None,
        deciding: DecidingProcesses | None = None,
    ) -> None:
        self._use_case = use_case
        self._settings = settings
        self._metrics = metrics
        self._status = status
        self._tracer = tracer
        self._writer = MicroBatchWriter(
            use_case,
            deciding if tracer is None else None,  # a span needs the translated message here
            future_tolerance=settings.future_tolerance,
        )
        self._backoff = Backoff(settings.retry_initial_s, settings.retry_max_s)
        self._positions: dict[Partition, int] = {}
        self._meter = IntakeMeter(metrics, status)
        self._epoch = 0
        self._at_work = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._fault: Exception | None = None
        self._looked_at = 0.0
        self._collector = GcPacer()
        self._assignor = SliceAssignor()
        self._consumer = clients.consumer(
            bootstrap_servers,
            group_id=settings.consumer_group,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_bytes=settings.batch_max_bytes,
            max_partition_fetch_bytes=min(settings.batch_max_bytes, _PARTITION_BYTES),
            fetch_max_wait_ms=_POLL_TIMEOUT_MS,
            metadata_max_age_ms=5_000,
            partition_assignment_strategy=(self._assignor,),
        )
        self._own = OwnMessages()
        self._order = TimeOrder(
            self._consumer, read_ahead_bytes=settings.batch_max_bytes, among=self._own.among
        )
        self._vigil = DisruptionDetector(self._consumer)
        self._same_log = LogIdentity(self._consumer, use_case, accept_gaps=settings.accept_offset_gaps)

    def stop(self) -> None:
        """Ask the loop to end after the transaction at hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Take in messages until `stop`. Raises OffsetGapError rather than skip what was lost."""
        if not await self._start():
            return
        beside = [
            asyncio.create_task(self._watch_lag(), name="ingest-lag"),
            asyncio.create_task(self._vigil.run(), name="ingest-vigil"),
        ]
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "ras-ingest"))
        self._collector.start()
        ahead: asyncio.Task[_Fetched | None] | None = None
        try:
            while not self._stopping.is_set():
                ahead = await self._step(ahead or asyncio.create_task(self._fetch(), name="ingest-fetch"))
        finally:
            self._collector.stop()
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await asyncio.to_thread(self._writer.stop)
            await self._commit_for_lag_tools()
            # Where Kafka vanishes meanwhile, aiokafka lets the end of a task of its own through.
            await asyncio.gather(self._consumer.stop(), return_exceptions=True)
            self._status.stopped("The ingester has stopped.")

    async def _start(self) -> bool:
        self._status.waits_for("Kafka, to connect")
        while not self._stopping.is_set():
            try:
                await self._consumer.start()
            except KafkaError as error:
                await self._wait_out(faults.sentence(error, needs="READ"))
            else:
                self._consumer.subscribe(INPUT_TOPICS, listener=self)
                self._status.well()
                return True
        return False

    async def _step(self, ahead: asyncio.Task[_Fetched | None]) -> asyncio.Task[_Fetched | None] | None:
        """Take in what was fetched; in a backlog the next messages are fetched and translated meanwhile."""
        fetched = await ahead
        if self._fault is not None:
            raise self._fault
        if fetched is None:
            return None
        async with self._at_work:
            if fetched.epoch != self._epoch:
                # Fetched before the last seek: whether it continues at the position nobody knows. Nothing
                # else is being fetched now, so what comes after this seek does.
                await self._seek_to_stored(list(self._positions))
                return None
            following = None
            messages = sum(len(portion.records) for portion in fetched.portions)
            self._writer.note_fetched(messages)
            if messages >= BACKLOG_MESSAGES and self._writer.may_begin_next(fetched.portions):
                following = asyncio.create_task(self._fetch(), name="ingest-fetch")
            for portion in fetched.portions:
                if not await self._take_in(portion, fetched.reached):
                    break
        return following

    async def _fetch(self) -> _Fetched | None:
        """Return the messages that have arrived, translated; None if there are none or Kafka is unavailable."""
        epoch = self._epoch
        try:
            fetched = await self._order.next(self._settings.batch_max_messages, timeout_ms=_POLL_TIMEOUT_MS)
        except (OffsetOutOfRangeError, NoOffsetForPartitionError, ReadAgainError):
            # Asked between an assignment and its seek, overtaken by Kafka's retention, or damaged on the way.
            async with self._at_work:
                await self._seek_to_stored(list(self._positions))
            return None
        except KafkaError as error:
            await self._wait_out(faults.sentence(error, needs="READ"))
            return None
        if monotonic() - self._looked_at >= _LOOK_INTERVAL_S:
            self._looked_at = monotonic()
            await self._look_around(epoch, busy=fetched.keys() | self._order.held)
        if not fetched:
            return None
        if await self._is_doubtful() or (epoch == self._epoch and self._same_log.is_different_log(fetched)):
            async with self._at_work:
                await self._seek_to_stored(list(self._positions))
            return None
        if not any(fetched.values()):
            return None
        portions = [
            await self._writer.begin([raw(record) for record in records], self._positions, self._at_work)
            for records in micro_batches(fetched, max_bytes=self._settings.batch_max_bytes)
        ]
        return _Fetched(epoch, portions, await self._reached(fetched))

    async def _is_doubtful(self) -> bool:
        """Whether what was fetched may lie in another log. Not so while Kafka is unavailable: it was fetched before."""
        if not self._vigil.may_have_missed():
            return False
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await self._consumer.end_offsets(
                    [TopicPartition(*partition) for partition in self._positions]
                )
        except (KafkaError, TimeoutError):
            return False
        return True

    async def _reached(self, fetched: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> dict[Place, int]:
        """Return where the consumer is behind the last messages, if offsets without messages follow them."""
        reached: dict[Place, int] = {}
        for partition, records in fetched.items():
            if not records or partition in self._order.held:
                continue
            if (last := await self._last_read(partition)) > records[-1].offset:
                reached[partition.topic, partition.partition, records[-1].offset] = last
        return reached

    async def _last_read(self, partition: TopicPartition) -> int:
        """Return the last offset that the consumer has read, -1 if that is not known."""
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                return int(await self._consumer.position(partition)) - 1
        except (KafkaError, TimeoutError):
            return -1

    async def _look_around(self, epoch: int, *, busy: Collection[TopicPartition]) -> None:
        """Look whether the store is where we left it, and move positions over offsets that hold no messages."""
        await asyncio.to_thread(self._writer.stop_when_idle)
        async with self._at_work:  # so what was fetched before is in the database
            known = dict(self._positions)
            try:
                if not busy and not await self._is_where_it_was(list(known)):
                    # It was restored and has lost what nobody is going to send again: go back as it has.
                    await self._seek_to_stored(list(known))
                elif epoch == self._epoch:
                    await self._pass_over(busy)
            except TRANSIENT_ERRORS as error:
                await self._wait_out(database_faults.sentence(error))
            except StalePositionError:
                await self._seek_to_stored(list(known))
            else:
                self._backoff.reset()

    async def _is_where_it_was(self, partitions: list[Partition]) -> bool:
        with self._status.step():
            return await asyncio.to_thread(self._use_case.is_where_it_was, partitions)

    async def _pass_over(self, busy: Collection[TopicPartition]) -> None:
        """Note that nothing for us lies between a position and the consumer's, in partitions with nothing on its way.

        What is of others' slices, markers of transactions, aborted messages and what compaction removed take up offsets.
        They may expire unseen, and must then not look like lost messages.
        """
        seen: dict[Partition, tuple[int, str | None]] = {}
        for partition, position in self._positions.items():
            known = TopicPartition(*partition)
            if known not in busy and (last := await self._last_read(known)) > position:
                seen[partition] = last, self._own.mark_up_to(partition, last)
        if seen:
            with self._status.step():
                await asyncio.to_thread(self._use_case.pass_over, seen, self._positions)

    async def _take_in(self, portion: Portion, reached: Mapping[Place, int]) -> bool:
        """Take in one micro-batch; False when that failed and the consumer has gone back to the stored positions."""
        started, started_ns = perf_counter(), time_ns()
        try:
            with self._status.step():
                written = await asyncio.to_thread(self._writer.write, portion, self._positions, reached)
        except StalePositionError as error:
            _log.info("ingest.position_moved", detail=str(error))
            await asyncio.to_thread(self._writer.stop)
            await self._seek_to_stored(list(self._positions))
            return False
        except TRANSIENT_ERRORS as error:
            await self._wait_out(database_faults.sentence(error))
            # What comes back may be a store that was restored to an earlier day: what we hold in memory
            # of batches and positions would then fit into it nowhere, without any conflict that tells.
            self._writer.forget()
            await asyncio.to_thread(self._writer.stop)
            await self._seek_to_stored(list(self._positions))
            return False
        self._backoff.reset()
        self._show_well()
        self._measure(written, perf_counter() - started)
        if self._tracer is not None:
            await asyncio.to_thread(
                self._tracer.taken_in, written.intakes, started_ns=started_ns, ended_ns=time_ns()
            )
        self._collector.after(len(written.records))
        return True

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the transaction at hand end, then forget the partitions."""
        async with self._at_work:
            self._order.forget()
            self._writer.void()
            self._same_log.forget((p.topic, p.partition) for p in revoked)
            for partition in revoked:
                self._positions.pop((partition.topic, partition.partition), None)
                self._meter.forget(partition.topic, partition.partition)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Seek to the stored positions; others may have written to our batches meanwhile."""
        async with self._at_work:
            slices = self._assignor.slices
            self._own.own(slices)
            self._writer.own(slices)
            self._meter.own(slices)
            _log.info("ingest.slices", first=slices.first, end=slices.end)
            await self._seek_to_stored([(p.topic, p.partition) for p in assigned])

    async def _seek_to_stored(self, partitions: list[Partition]) -> None:
        self._epoch += 1
        self._writer.void()
        self._vigil.acknowledge()
        while partitions and not self._stopping.is_set():
            try:
                with self._status.step():
                    places = await self._same_log.places(partitions)
            except TRANSIENT_ERRORS as error:
                await self._wait_out(database_faults.sentence(error))
                continue
            except KafkaError as error:
                await self._wait_out(faults.sentence(error, needs="READ"))
                continue
            except StalePositionError:
                continue
            except Exception as fault:  # noqa: BLE001 - messages that are gone, a privilege that is: raised by the loop
                # It owns this process's exit. A rebalance callback does not: the client would log the fault and go on.
                self._fault = fault
                return
            for (topic, partition), place in places.items():
                self._note_if_older(topic, partition, place.position)
                self._positions[topic, partition] = place.position
                with contextlib.suppress(IllegalStateError):  # no longer ours: the next assignment seeks
                    self._consumer.seek(TopicPartition(topic, partition), place.read_from)
            self._epoch += (
                1  # a fetch that began meanwhile began somewhere: at what was committed for lag tools
            )
            self._order.forget()
            self._own.seek(
                {partition: place.ranges for partition, place in places.items()},
                {partition: place.read_from for partition, place in places.items() if place.awaits},
            )
            return

    def _note_if_older(self, topic: str, partition: int, stored: int) -> None:
        """Say that the store is behind what we ingested: then it was restored, and Kafka is read again from there."""
        known = self._positions.get((topic, partition), stored)
        if stored < known:
            _log.warning(
                "ingest.store_was_restored", topic=topic, partition=partition, position=stored, was=known
            )

    async def _wait_out(self, reason: str) -> None:
        if self._backoff.attempt == 0:
            _log.warning("ingest.waiting", reason=reason)
        self._status.degraded(reason)
        self._metrics.faults.labels(self._status.name).inc()
        await self._backoff.wait(self._stopping)

    def _show_well(self) -> None:
        """Report that the last step worked, unless topics are left out that the user may not see."""
        if lacking := unauthorized(self._consumer, INPUT_TOPICS):
            self._status.degraded(faults.missing_acl("READ", lacking))
        else:
            self._status.well()

    def _measure(self, written: Written, seconds: float) -> None:
        self._meter.taken_in(written.taken, written.times, seconds)
        self._metrics.cached_batches.set(self._writer.cached)
        self._metrics.cache_lookups.labels("hit").inc(self._writer.hits)
        self._metrics.cache_lookups.labels("miss").inc(self._writer.misses)

    async def _watch_lag(self) -> None:
        while True:
            await asyncio.sleep(_LAG_INTERVAL_S)
            try:
                async with asyncio.timeout(_LAG_INTERVAL_S):
                    ends: dict[TopicPartition, Any] = await self._consumer.end_offsets(
                        [TopicPartition(*partition) for partition in self._positions]
                    )
            except (KafkaError, TimeoutError) as error:
                self._status.degraded(faults.sentence(error, needs="READ"))
                continue
            self._status.lag = sum(
                self._meter.lag.show(p.topic, p.partition, max(0, end - 1 - position))
                for p, end in ends.items()
                if (position := self._positions.get((p.topic, p.partition))) is not None
            )
            if self._backoff.attempt == 0:
                self._show_well()
            await self._commit_for_lag_tools()

    async def _commit_for_lag_tools(self) -> None:
        offsets = {
            TopicPartition(*partition): OffsetAndMetadata(position + 1, "")
            for partition, position in self._positions.items()
            if position >= 0
        }
        if offsets:
            # Nobody depends on these: a refusal (we are no longer in the group) changes nothing.
            with contextlib.suppress(KafkaError, TimeoutError):
                async with asyncio.timeout(_LAG_INTERVAL_S):
                    await self._consumer.commit(offsets)
