"""The orchestrator behind the port `Orchestrator`: asked only about batches that are not registered here.

Front ends poll for a batch that was created a moment ago, so what the orchestrator says of one, or that it does not
know it, is kept for a few seconds. As soon as the registration is here nobody asks this client any more. A failure
is not kept: that is the circuit breaker's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry

from application.json_text import json_bytes
from application.pipeline_state import CannotAsk, Known, NotKnown, Told, status_of
from infrastructure.health import CheckResult
from infrastructure.neighbours.asking import Asking
from infrastructure.neighbours.call import Calls, Neighbour
from infrastructure.neighbours.kept_replies import KeptReplies
from infrastructure.neighbours.metrics import CallMetrics
from infrastructure.neighbours.outcomes import Outcome, Reply
from infrastructure.resilience import CircuitBreaker

_MOST_KEPT: Final = 1_000
_REPLIES_BYTES: Final = 1_000_000


def _read(batch_id: str, body: object) -> bytes | None:
    status = status_of(batch_id, body, now=datetime.now(UTC))
    return None if status is None else json_bytes(status)


ORCHESTRATOR: Final = Neighbour(
    name="The orchestrator",
    path="/internal/v1/batches/{}/pipeline-state",
    read=_read,
    unknown="The orchestrator does not know this batch.",
    unknown_type="application/json",
)


class HttpOrchestrator:
    """Asks the orchestrator over HTTP; keeps what it says for `kept_s`. Belongs to one event loop."""

    def __init__(
        self,
        calls: Calls,
        *,
        breaker: CircuitBreaker,
        kept_s: float,
        registry: CollectorRegistry,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        metrics = CallMetrics(registry, breaker, prefix="ras_orchestrator", what="orchestrator")
        kept = KeptReplies(_REPLIES_BYTES)
        self._asking = Asking(calls, breaker=breaker, kept=kept, metrics=metrics, log="orchestrator")
        self._kept_s = kept_s
        self._clock = clock
        self._told: OrderedDict[str, tuple[float, Told]] = OrderedDict()

    async def status(self, batch_id: str, *, correlation_id: str) -> Told:
        """Return what the orchestrator says of a batch."""
        until, told = self._told.get(batch_id, (0.0, None))
        if told is not None and self._clock() < until:
            return told
        self._told.pop(batch_id, None)
        answer = await self._asking.ask(batch_id, correlation_id=correlation_id)
        if isinstance(answer, Reply):
            return self._keep(batch_id, Known(answer.content))
        if answer.outcome is Outcome.UNKNOWN_BATCH:
            return self._keep(batch_id, NotKnown())
        return CannotAsk(answer.reason)

    async def health(self) -> CheckResult:
        """Return how the orchestrator did when it was last asked. Nobody is asked for this."""
        return await self._asking.health()

    async def close(self) -> None:
        """End calls under way and close all connections."""
        await self._asking.close()

    def _keep(self, batch_id: str, told: Told) -> Told:
        self._told.pop(batch_id, None)
        self._told[batch_id] = (self._clock() + self._kept_s, told)
        if len(self._told) > _MOST_KEPT:
            self._told.popitem(last=False)
        return told
