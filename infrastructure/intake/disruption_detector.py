"""Detects moments in which a topic may have been replaced without RAS noticing.

Theory of operation. A running consumer goes on fetching at its old offsets. If a topic is deleted, recreated and
grown past them between two fetches, they mean other messages, and nothing fails. Two things tell that it may have
been so. The client saw a fault that made it ask for the cluster's metadata at once: a fetch was refused because the
topic or its leader was gone, or a connection broke. It mends that by itself and tells nobody, so the question is
overheard. Or the process stood still (stopped, suspended, starved) for longer than a fetch waits at the broker, and
may have missed just that. In both cases anyone who ingests messages looks at its positions again first.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

_BEAT_S: Final = 0.1
_STANDSTILL_S: Final = 0.5
"""A fetch waits 0.2 s at the broker; a deletion in that time ends it with an error."""


class DisruptionDetector:
    """Watches over one consumer, from before its start, and over the event loop that it runs on."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._last_beat = monotonic()
        self._missed = False
        client = consumer._client  # noqa: SLF001 - aiokafka has no other way to learn of such faults
        ask = client.force_metadata_update

        def overheard() -> Any:
            self._missed = True
            return ask()

        client.force_metadata_update = overheard

    async def run(self) -> None:
        """Beat until cancelled."""
        self._last_beat = monotonic()
        while True:
            await asyncio.sleep(_BEAT_S)
            self._beat()

    def may_have_missed(self) -> bool:
        """Return whether there was such a moment since the positions were last looked at."""
        self._beat()  # anyone who runs first after a standstill may be the one who asks
        return self._missed

    def acknowledge(self) -> None:
        """Note that the positions are about to be looked at; what happens from here on counts again."""
        self._missed = False

    def _beat(self) -> None:
        now = monotonic()
        if now - self._last_beat >= _STANDSTILL_S:
            self._missed = True
        self._last_beat = now
