"""Metrics of the calls of a neighbour."""

from __future__ import annotations

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from infrastructure.neighbours.outcomes import CallResult, Outcome
from infrastructure.resilience import BreakerState, CircuitBreaker

_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class CallMetrics:
    """Calls with their outcome and time, tries beyond the first, what went without a call, the breaker."""

    def __init__(
        self, registry: CollectorRegistry, breaker: CircuitBreaker, *, prefix: str, what: str
    ) -> None:
        self._seconds = Histogram(
            f"{prefix}_call_seconds",
            f"Time of a call of the {what}, with all its tries.",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        for outcome in Outcome:
            self._seconds.labels(outcome.value)
        self._retries = Counter(f"{prefix}_retries", "Tries of a call beyond its first.", registry=registry)
        self.joined = Counter(
            f"{prefix}_joined",
            "Requests that shared a call already under way for their batch.",
            registry=registry,
        )
        self.not_asked = Counter(
            f"{prefix}_not_asked",
            "Requests answered without a call because the circuit breaker was open.",
            registry=registry,
        )
        state_is = Gauge(
            f"{prefix}_breaker",
            "State of the circuit breaker: 1 at the state that it is in.",
            ["state"],
            registry=registry,
        )
        for state in BreakerState:
            state_is.labels(state.value).set_function(partial(_is_in, breaker, state))

    def called(self, result: CallResult, seconds: float) -> None:
        """Count a call that has ended."""
        self._seconds.labels(result.outcome.value).observe(seconds)
        self._retries.inc(max(0, result.tries - 1))


def _is_in(breaker: CircuitBreaker, state: BreakerState) -> float:
    return float(breaker.state is state)
