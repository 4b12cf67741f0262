"""The client of the assessment app as tests use it: one server, a clock to turn, metrics to read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import orjson
from prometheus_client import CollectorRegistry

from application.enrichment import Assessment, AssessmentSummary, AssessmentUnavailable
from infrastructure.assessments_client.client import ASSESSMENT_APP, HttpAssessments, assessment_metrics
from infrastructure.neighbours.call import Calls
from infrastructure.neighbours.kept_replies import KeptReplies
from infrastructure.resilience import CircuitBreaker
from tests.support.assessment_server import AssessmentServer
from tests.support.clock import Clock

NEVER_S: Final = 25.0
"""A deadline for calls that end before it: no machine is as slow as that."""
SOON_S: Final = 0.25
"""A deadline for calls that nothing else would ever end."""


class Client:
    """The client under test on an event loop of its own."""

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float = NEVER_S,
        max_bytes: int = 100_000,
        connections: int = 50,
        failures: int = 3,
    ) -> None:
        self.clock = Clock()
        self.registry = CollectorRegistry(auto_describe=True)
        self.runner = asyncio.Runner()
        breaker = CircuitBreaker(failures=failures, reset_after_s=10, clock=self.clock)
        self.under_test = HttpAssessments(
            Calls(
                ASSESSMENT_APP,
                url,
                api_key="key",
                deadline_s=deadline_s,
                max_bytes=max_bytes,
                connections=connections,
            ),
            breaker=breaker,
            kept=KeptReplies(1_000),
            metrics=assessment_metrics(self.registry, breaker),
        )

    def ask(self, *batch_ids: str) -> list[Assessment]:
        """Ask about batches at once."""

        async def asked() -> list[Assessment]:
            asking = (self.under_test.of_batch(each, correlation_id="correlation-1") for each in batch_ids)
            return list(await asyncio.gather(*asking))

        return self.runner.run(asked())

    def reason(self, batch_id: str = "b") -> str:
        """Ask about a batch and return why there is no answer."""
        [answer] = self.ask(batch_id)
        assert isinstance(answer, AssessmentUnavailable), answer
        return answer.reason

    def count(self, name: str, **labels: str) -> float:
        """Return a metric."""
        value = self.registry.get_sample_value(name, labels)
        assert value is not None
        return value

    def close(self) -> None:
        """End everything."""
        self.runner.run(self.under_test.close())
        self.runner.close()


@contextmanager
def client_of(server: AssessmentServer, **bounds: float) -> Iterator[Client]:
    """A client of `server` for the time of a block."""
    running = Client(server.url, **bounds)  # type: ignore[arg-type]  # mypy takes every bound for each parameter
    try:
        yield running
    finally:
        running.close()


def contents(answers: Sequence[Assessment]) -> list[object]:
    """Return the summaries' bodies, and the reasons in place of those that are missing."""
    return [
        orjson.loads(each.content) if isinstance(each, AssessmentSummary) else each.reason for each in answers
    ]
