"""The circuit breaker, with a clock of the test's own."""

from __future__ import annotations

from infrastructure.resilience import BreakerState, CircuitBreaker
from tests.support.clock import Clock


def state_of(breaker: CircuitBreaker) -> BreakerState:
    """Return the state; mypy would take the property for one that no call changes."""
    return breaker.state


def opened(clock: Clock) -> CircuitBreaker:
    """Return a breaker that three failures have opened for ten seconds."""
    breaker = CircuitBreaker(failures=3, reset_after_s=10, clock=clock)
    for _ in range(3):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_it_opens_only_after_failures_in_a_row() -> None:
    breaker = CircuitBreaker(failures=3, reset_after_s=10, clock=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert state_of(breaker) is BreakerState.CLOSED

    for _ in range(3):
        breaker.failed()
    assert state_of(breaker) is BreakerState.OPEN
    assert not breaker.admits()


def test_half_open_admits_one_try_and_its_success_closes() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s = 9.9
    assert not breaker.admits()

    clock.now_s = 10
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert [breaker.admits() for _ in range(4)] == [True, False, False, False]
    breaker.succeeded()
    assert state_of(breaker) is BreakerState.CLOSED
    assert [breaker.admits() for _ in range(4)] == [True] * 4


def test_a_try_that_fails_opens_it_for_the_whole_time_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s = 10
    assert breaker.admits()
    clock.now_s = 12
    breaker.failed()

    clock.now_s = 21
    assert (breaker.state, breaker.admits()) == (BreakerState.OPEN, False)
    clock.now_s = 22
    assert [breaker.admits() for _ in range(2)] == [True, False]


def test_a_try_that_nobody_reports_on_does_not_shut_it_for_ever() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now_s = 10
    assert breaker.admits()
    clock.now_s = 19.9
    assert not breaker.admits()
    clock.now_s = 20
    assert [breaker.admits() for _ in range(2)] == [True, False]
