"""The assessment app as the port `Assessments`."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry

from application.enrichment import Assessment, AssessmentSummary, AssessmentUnavailable, summary_of
from infrastructure.health import CheckResult
from infrastructure.neighbours.asking import Asking
from infrastructure.neighbours.call import Calls, Neighbour
from infrastructure.neighbours.kept_replies import KeptReplies
from infrastructure.neighbours.metrics import CallMetrics
from infrastructure.neighbours.outcomes import Reply
from infrastructure.resilience import CircuitBreaker

ASSESSMENT_APP: Final = Neighbour(
    name="The assessment app",
    path="/internal/v1/assessments/{}/summary",
    read=lambda batch_id, body: summary_of(batch_id, body).content,
    unknown="The assessment app knows no judging of this batch.",
    unknown_type="application/problem+json",
)


def assessment_metrics(registry: CollectorRegistry, breaker: CircuitBreaker) -> CallMetrics:
    """Return the metrics of the calls."""
    return CallMetrics(registry, breaker, prefix="ras_assessments", what="assessment app")


class HttpAssessments:
    """Asks the assessment app over HTTP. Belongs to one event loop."""

    def __init__(
        self, calls: Calls, *, breaker: CircuitBreaker, kept: KeptReplies, metrics: CallMetrics
    ) -> None:
        self._asking = Asking(calls, breaker=breaker, kept=kept, metrics=metrics, log="assessments")

    async def of_batch(self, batch_id: str, *, correlation_id: str) -> Assessment:
        """Return the summary of a batch's judging, or why there is none just now."""
        answer = await self._asking.ask(batch_id, correlation_id=correlation_id)
        if isinstance(answer, Reply):
            return AssessmentSummary(answer.content)
        return AssessmentUnavailable(answer.reason)

    async def health(self) -> CheckResult:
        """Return how the app did when it was last asked. Nobody is asked for this."""
        return await self._asking.health()

    async def close(self) -> None:
        """End calls under way and close all connections."""
        await self._asking.close()
