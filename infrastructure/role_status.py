"""How a running role is doing: shared by its loop, its health check, its metrics, and `ras status`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from time import monotonic
from typing import Final

SLOW_AFTER_S: Final = 5.0
"""A step or a start that takes longer makes its role degraded while it lasts."""
STALLED_AFTER_S: Final = 90.0
"""A step that takes longer will not end: its own time limits, a minute at most, have not ended it."""


class Condition(StrEnum):
    """`degraded` means: waiting for something outside, nothing is lost, it goes on by itself."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@dataclass(slots=True)
class RoleStatus:
    """The condition of one role and, unless it is well, the sentence that says why.

    `handled` counts messages or events since the start, by what they were read from.
    """

    name: str
    condition: Condition = Condition.STARTING
    reason: str = "The role is starting."
    lag: int = 0
    handled: dict[str, int] = field(default_factory=dict)
    last_error: str | None = None
    last_error_at: datetime | None = None
    stalled_after_s: float = STALLED_AFTER_S
    _step_began: float | None = None
    _created_at: float = field(default_factory=monotonic)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Mark what should end within seconds, so that health notices when it does not."""
        self._step_began = monotonic()
        try:
            yield
        finally:
            self._step_began = None

    @property
    def is_stalled(self) -> bool:
        """Whether the step at hand has gone on for so long that only a restart helps."""
        return self._step_s > self.stalled_after_s

    def now(self) -> tuple[Condition, str]:
        """Return the condition and its reason at this moment: a slow step or start counts before it has failed."""
        if self.condition is Condition.STARTING and monotonic() - self._created_at > SLOW_AFTER_S:
            return Condition.DEGRADED, self.reason
        if self.condition is Condition.OK and self._step_s > SLOW_AFTER_S:
            return Condition.DEGRADED, (
                f"No progress for more than {SLOW_AFTER_S:g} s: a server does not answer, or another session holds a lock."
            )
        return self.condition, self.reason

    @property
    def _step_s(self) -> float:
        return 0.0 if self._step_began is None else monotonic() - self._step_began

    def waits_for(self, what: str) -> None:
        """Note what a role that is starting asks a server for: the answer may take long, or never come."""
        if self.condition is Condition.STARTING:
            self.reason = f"The role is starting: it waits for {what}."

    def well(self) -> None:
        """Note that the last step worked."""
        self.condition, self.reason = Condition.OK, ""

    def degraded(self, reason: str) -> None:
        """Note what the role waits for."""
        self.condition, self.reason = Condition.DEGRADED, reason
        self._erred(reason)

    def stopped(self, reason: str) -> None:
        """Note why the role has ended."""
        self.condition, self.reason = Condition.STOPPED, reason

    def failed(self, reason: str) -> None:
        """Note the fault that ends the role."""
        self.stopped(reason)
        self._erred(reason)

    def count(self, source: str, handled: int) -> None:
        """Note that so many messages or events of `source` were handled."""
        self.handled[source] = self.handled.get(source, 0) + handled

    def _erred(self, reason: str) -> None:
        self.last_error, self.last_error_at = reason, datetime.now(UTC)
