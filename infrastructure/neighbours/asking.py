"""Asks a neighbour about batches: there is always a result, within a limited time.

Three things stand between a request and a call. Requests for a batch that is being asked about already
wait for that call: front ends poll, and thirty pupils' pages of one batch are one question. The circuit
breaker says at once that it is unavailable, after it has failed a few times in a row; then one call at a time finds
out whether it is back. The rest is the call itself (`call.py`).

A call belongs to this client and not to the request that caused it: a client that becomes unavailable must not
cut off the others who wait. Its deadline ends it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog

from infrastructure.health import CheckResult, Health
from infrastructure.neighbours.call import Calls
from infrastructure.neighbours.kept_replies import KeptReplies
from infrastructure.neighbours.metrics import CallMetrics
from infrastructure.neighbours.outcomes import CallResult, Outcome, Reply
from infrastructure.resilience import BreakerState, CircuitBreaker

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Why there is no answer: a sentence for people. `outcome` is None where nobody was asked."""

    reason: str
    outcome: Outcome | None = None


class Asking:
    """Asks one neighbour over HTTP; `log` begins the names of what is logged. Belongs to one event loop."""

    def __init__(
        self,
        calls: Calls,
        *,
        breaker: CircuitBreaker,
        kept: KeptReplies,
        metrics: CallMetrics,
        log: str,
    ) -> None:
        self._calls = calls
        self._breaker = breaker
        self._kept = kept
        self._metrics = metrics
        self._log = log
        self._under_way: dict[str, asyncio.Task[Reply | Unanswered]] = {}
        self._last_failure = ""

    async def ask(self, batch_id: str, *, correlation_id: str) -> Reply | Unanswered:
        """Return what the neighbour says of a batch, or why there is no answer just now."""
        call = self._under_way.get(batch_id)
        if call is not None:
            self._metrics.joined.inc()
        elif self._breaker.admits():
            call = asyncio.create_task(self._call(batch_id, correlation_id))
            self._under_way[batch_id] = call
            call.add_done_callback(lambda _: self._under_way.pop(batch_id))
        else:
            self._metrics.not_asked.inc()
            name = self._calls.neighbour.name
            return Unanswered(
                f"{name} is left alone for a while after repeated failures. {self._last_failure}"
            )
        return await asyncio.shield(call)

    async def health(self) -> CheckResult:
        """Return how the neighbour did when it was last asked. Nobody is asked for this."""
        if not self._last_failure:
            return CheckResult(Health.OK)
        return CheckResult(Health.DEGRADED, f"{self._last_failure} {_WHAT_NEXT[self._breaker.state]}")

    async def close(self) -> None:
        """End calls under way and close all connections."""
        calls = list(self._under_way.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._calls.close()

    async def _call(self, batch_id: str, correlation_id: str) -> Reply | Unanswered:
        begun = time.perf_counter()
        kept = self._kept.find(batch_id)
        result = await self._calls.ask(batch_id, correlation_id=correlation_id, kept=kept)
        self._metrics.called(result, time.perf_counter() - begun)
        self._note(result)
        # After a failure the kept reply stays: it is still the right thing to ask about.
        if result.reply is not None or not result.outcome.counts_against_it:
            self._kept.keep(batch_id, result.reply)
        if result.reply is None:
            return Unanswered(result.reason, result.outcome)
        return result.reply

    def _note(self, result: CallResult) -> None:
        before = self._breaker.state
        if result.outcome.counts_against_it:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        self._last_failure = result.reason if result.outcome.concerns_every_batch else ""
        if result.reason and result.outcome is not Outcome.UNKNOWN_BATCH:  # which is no fault, and polled for
            _log.warning(
                f"{self._log}.call", outcome=result.outcome, tries=result.tries, reason=result.reason
            )
        after = self._breaker.state
        if after is not before:
            _log.warning(f"{self._log}.breaker", before=before.value, after=after.value)


_WHAT_NEXT = {
    BreakerState.CLOSED: "It is asked again with the next request.",
    BreakerState.HALF_OPEN: "The next request finds out whether it is back.",
    BreakerState.OPEN: "It is left alone for a while.",
}
