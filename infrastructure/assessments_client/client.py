"""The assessment app as the port `Assessments`: there is always a result, within a limited time.

Three things stand between a request and a call. Requests for a batch that is being asked about already
wait for that call: front ends poll, and thirty pupils' pages of one batch are one question. The circuit
breaker says at once that the app is unavailable, after it has failed a few times in a row; then one call at a time finds
out whether it is back. The rest is the call itself (`call.py`).

A call belongs to this client and not to the request that caused it: a browser that becomes unavailable must not
cut off the others who wait. Its deadline ends it.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from application.enrichment import Assessment, AssessmentSummary, AssessmentUnavailable
from infrastructure.assessments_client.call import AssessmentCalls
from infrastructure.assessments_client.kept_replies import KeptReplies
from infrastructure.assessments_client.metrics import AssessmentMetrics
from infrastructure.assessments_client.outcomes import CallResult, Outcome
from infrastructure.health import CheckResult, Health
from infrastructure.resilience import BreakerState, CircuitBreaker

_log = structlog.get_logger(__name__)


class HttpAssessments:
    """Asks the assessment app over HTTP. Belongs to one event loop."""

    def __init__(
        self,
        calls: AssessmentCalls,
        *,
        breaker: CircuitBreaker,
        kept: KeptReplies,
        metrics: AssessmentMetrics,
    ) -> None:
        self._calls = calls
        self._breaker = breaker
        self._kept = kept
        self._metrics = metrics
        self._under_way: dict[str, asyncio.Task[Assessment]] = {}
        self._last_failure = ""

    async def of_batch(self, batch_id: str, *, correlation_id: str) -> Assessment:
        """Return the summary of a batch's judging, or why there is none just now."""
        call = self._under_way.get(batch_id)
        if call is not None:
            self._metrics.joined.inc()
        elif self._breaker.admits():
            call = asyncio.create_task(self._call(batch_id, correlation_id))
            self._under_way[batch_id] = call
            call.add_done_callback(lambda _: self._under_way.pop(batch_id))
        else:
            self._metrics.not_asked.inc()
            return AssessmentUnavailable(
                f"The assessment app is left alone for a while after repeated failures. {self._last_failure}"
            )
        return await asyncio.shield(call)

    async def health(self) -> CheckResult:
        """Return how the app did when it was last asked. Nobody is asked for this."""
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

    async def _call(self, batch_id: str, correlation_id: str) -> Assessment:
        begun = time.perf_counter()
        kept = self._kept.find(batch_id)
        result = await self._calls.summary(batch_id, correlation_id=correlation_id, kept=kept)
        self._metrics.called(result, time.perf_counter() - begun)
        self._note(result)
        # After a failure the kept reply stays: it is still the right thing to ask about.
        if result.reply is not None or not result.outcome.counts_against_the_app:
            self._kept.keep(batch_id, result.reply)
        if result.reply is None:
            return AssessmentUnavailable(result.reason)
        return AssessmentSummary(result.reply.content)

    def _note(self, result: CallResult) -> None:
        before = self._breaker.state
        if result.outcome.counts_against_the_app:
            self._breaker.failed()
        else:
            self._breaker.succeeded()
        self._last_failure = result.reason if result.outcome.concerns_every_batch else ""
        if result.reason and result.outcome is not Outcome.UNKNOWN_BATCH:  # which is no fault, and polled for
            _log.warning("assessments.call", outcome=result.outcome, tries=result.tries, reason=result.reason)
        after = self._breaker.state
        if after is not before:
            _log.warning("assessments.breaker", before=before.value, after=after.value)


_WHAT_NEXT = {
    BreakerState.CLOSED: "It is asked again with the next request.",
    BreakerState.HALF_OPEN: "The next request finds out whether it is back.",
    BreakerState.OPEN: "It is left alone for a while.",
}
