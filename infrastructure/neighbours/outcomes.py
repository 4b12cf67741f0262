"""How a call of a neighbour can end, and what each end says about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """A label of the metrics too: renaming one breaks dashboards."""

    ANSWERED = "answered"
    NOT_MODIFIED = "not_modified"
    UNKNOWN_BATCH = "unknown_batch"
    NOT_ACCEPTED = "not_accepted"
    TOO_LARGE = "too_large"
    UNREACHABLE = "unreachable"
    BROKEN_OFF = "broken_off"
    TIMED_OUT = "timed_out"
    FAILING = "failing"
    UNREADABLE = "unreadable"

    @property
    def counts_against_it(self) -> bool:
        """Whether the circuit breaker counts it: it is in no state to answer anybody.

        A batch that it does not know, one whose answer is too large, a key that it does not take: it is up
        and says so at once, and leaving it alone would help nobody.
        """
        return self not in _IT_IS_UP

    @property
    def concerns_every_batch(self) -> bool:
        """Whether the next call, for whatever batch, is likely to end alike: what health tells operators."""
        return self.counts_against_it or self is Outcome.NOT_ACCEPTED


_IT_IS_UP: Final = frozenset(
    {
        Outcome.ANSWERED,
        Outcome.NOT_MODIFIED,
        Outcome.UNKNOWN_BATCH,
        Outcome.NOT_ACCEPTED,
        Outcome.TOO_LARGE,
    }
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What was kept of an answer, as bytes of JSON, and the ETag to ask with next time, if there was one."""

    content: bytes
    etag: str | None


@dataclass(frozen=True, slots=True)
class CallResult:
    """The end of one call: a reply, or a reason in plain words. `tries` counts requests."""

    outcome: Outcome
    reply: Reply | None = None
    reason: str = ""
    tries: int = 1


class CallFailedError(Exception):
    """One try has failed. `again` says whether another may help, and after how many seconds at the earliest."""

    def __init__(self, outcome: Outcome, reason: str, *, again: bool = False, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.again = again
        self.after_s = after_s
