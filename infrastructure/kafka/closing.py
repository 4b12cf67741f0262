"""Closing connections to Kafka: it never takes long, with TLS either.

aiokafka waits until a closed connection has ended. With TLS both sides say goodbye, and the broker does so only after
it has answered the request at hand. uvloop then waits out its own limit of 30 s (its issue 471): a role that closed a
reader in the middle of a fetch stood still for that long and reported that Kafka does not answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection

_GOODBYE_S: Final = 0.25
"""How long the broker may take over its goodbye. Nothing is left to send by then: clients flush before they close."""

_close = AIOKafkaConnection.close


def install() -> None:
    """Let every connection of this process end soon after it was closed."""
    AIOKafkaConnection.close = _close_in_time


def _close_in_time(self: AIOKafkaConnection, reason: Any = None, exc: Any = None) -> asyncio.Future[None]:
    writer = self._writer  # None once it is closed
    closed: asyncio.Future[None] = _close(self, reason, exc)
    if writer is not None:
        last_moment = self._loop.call_later(_GOODBYE_S, writer.transport.abort)
        closed.add_done_callback(lambda _: last_moment.cancel())
    return closed
