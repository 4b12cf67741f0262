"""How a running role is doing: shared by its loop, its health check, its metrics, and `ras status`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum


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
