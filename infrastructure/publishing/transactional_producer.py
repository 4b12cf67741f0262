"""A producer of one transactional id: started, it fences all older ones; after any error it is thrown away.

A time-out or an error in a transaction leaves its outcome unknown, so its producer is never used again: its
successor, once it has fenced this one, reads what became of the transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerFenced

from application.envelopes import OutgoingMessage
from infrastructure.errors import OperatorError
from infrastructure.followers.follower import TransientSinkError
from infrastructure.kafka import clients, faults
from infrastructure.publishing.record_batches import MOST_BYTES, MessageTooLargeError, RecordBatches

_STOP_TIMEOUT_S: Final = 5.0

_MESSAGES_AT_A_TIME: Final = 500
"""How many records are put into batches before the event loop gets its turn."""


class PublisherFencedError(OperatorError):
    """Another publisher with the same transactional id has started: this one must end, not retry."""


class TransactionalProducer:
    """The producer of a publisher. `timeout_s` is how long a transaction may take."""

    def __init__(self, bootstrap_servers: str, transactional_id: str, *, timeout_s: float) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._transactional_id = transactional_id
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Fence older producers and end their open transaction. Raises aiokafka's errors: `discard` comes next."""
        self._producer = clients.producer(
            self._bootstrap_servers,
            transactional_id=self._transactional_id,
            compression_type=clients.compression(),
            max_batch_size=MOST_BYTES,
            max_request_size=16 * 1024 * 1024,
            linger_ms=0,
            transaction_timeout_ms=int((self._timeout_s + clients.REQUEST_TIMEOUT_S) * 1000),
        )
        await self._producer.start()

    async def transact(
        self,
        messages: Sequence[OutgoingMessage],
        position: OutgoingMessage,
        limits: Mapping[str, int],
        *,
        position_last: bool,
    ) -> None:
        """Send `messages`, and `position` to the first partition of its topic, in one transaction.

        `limits` are the most bytes of a batch, by topic. With `position_last` the broker has acknowledged all messages
        before it gets the position. Raises PublisherFencedError, MessageTooLargeError or TransientSinkError.
        """
        producer = self._producer
        assert producer is not None, "start() comes first"
        try:
            async with asyncio.timeout(self._timeout_s):
                await producer.begin_transaction()
                records = RecordBatches(producer, limits)
                for start in range(0, len(messages), _MESSAGES_AT_A_TIME):
                    if start:
                        await asyncio.sleep(0)  # full batches travel while the next are filled
                    await records.put(messages[start : start + _MESSAGES_AT_A_TIME])
                if position_last:
                    await records.acknowledged()
                await records.put_at(position, 0)
                await records.acknowledged()
                await producer.commit_transaction()
        except ProducerFenced as error:
            await self.discard()
            raise PublisherFencedError(
                f"Another publisher with the transactional id {self._transactional_id!r} has taken over. "
                "This one ends; nothing is lost and nothing is sent twice."
            ) from error
        except MessageTooLargeError:
            await self.discard()
            raise
        except (KafkaError, TimeoutError, OSError) as error:
            await self.discard()
            raise TransientSinkError(faults.sentence(error, needs="WRITE")) from error

    async def discard(self) -> None:
        """End the producer and its connections, whatever it still has to send."""
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
