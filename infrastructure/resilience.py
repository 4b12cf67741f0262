"""Waiting out faults of others: back-off with jitter, and a circuit breaker that stops asking."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from time import monotonic


@dataclass(slots=True)
class Backoff:
    """Exponential back-off with full jitter, in seconds.

    Full jitter (a wait drawn from zero to the bound) spreads processes that failed together; see
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    initial_s: float
    max_s: float
    attempt: int = 0

    def reset(self) -> None:
        """Start over: it worked."""
        self.attempt = 0

    def next_delay_s(self) -> float:
        """Return how long to wait before the next try."""
        bound = min(self.max_s, self.initial_s * 2**self.attempt)
        self.attempt = min(self.attempt + 1, 32)
        return random.uniform(bound / 10, bound)  # noqa: S311 - jitter, not a secret

    async def wait(self, stopping: asyncio.Event) -> None:
        """Wait before the next try, or until `stopping` is set."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.next_delay_s()):
                await stopping.wait()


class BreakerState(Enum):
    """The states of a circuit breaker (Nygard, "Release It!", 2007)."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


class CircuitBreaker:
    """Closed until `failures` calls in a row failed; then open for `reset_after_s`; then one try.

    One caller at a time may go by `state` alone. Where many call at once, each asks `admits` first: of all
    those who come while the breaker is half open, one is let through.
    """

    def __init__(
        self, *, failures: int, reset_after_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._threshold = failures
        self._reset_after_s = reset_after_s
        self._clock = clock
        self._failed_in_a_row = 0
        self._opened_at: float | None = None
        self._tried_at: float | None = None

    @property
    def state(self) -> BreakerState:
        """Where the breaker stands now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        waited = self._clock() - self._opened_at
        return BreakerState.HALF_OPEN if waited >= self._reset_after_s else BreakerState.OPEN

    def admits(self) -> bool:
        """Whether to call now. A caller that gets True reports afterwards how the call went.

        A try of the half-open state that nobody reports on counts as lost after `reset_after_s` seconds,
        and the next who asks is let through.
        """
        if self.state is BreakerState.CLOSED:
            return True
        now = self._clock()
        trying = self._tried_at is not None and now - self._tried_at < self._reset_after_s
        if self.state is BreakerState.OPEN or trying:
            return False
        self._tried_at = now
        return True

    def succeeded(self) -> None:
        """Note a call that worked: the breaker closes."""
        self._failed_in_a_row = 0
        self._opened_at = self._tried_at = None

    def failed(self) -> None:
        """Note a call that failed: at the threshold, or at the first try after that, the breaker opens."""
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self._threshold:
            self._opened_at = self._clock()
            self._tried_at = None
