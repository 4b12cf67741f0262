"""How a running role is doing: shared by its loop, its health check, and `ras status`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """`degraded` means: waiting for something outside, nothing is lost, it goes on by itself."""

    STARTING = "starting"
    OK = "ok"
    DEGRADED = "degraded"
    STOPPED = "stopped"


@dataclass(slots=True)
class RoleStatus:
    """The condition of one role and, unless it is well, the sentence that says why."""

    name: str
    condition: Condition = Condition.STARTING
    reason: str = "The role is starting."
    lag: int = 0

    def well(self) -> None:
        """Note that the last step worked."""
        self.condition, self.reason = Condition.OK, ""

    def degraded(self, reason: str) -> None:
        """Note what the role waits for."""
        self.condition, self.reason = Condition.DEGRADED, reason

    def stopped(self, reason: str) -> None:
        """Note why the role has ended."""
        self.condition, self.reason = Condition.STOPPED, reason
