"""The health of a process: named checks, and the conditions of the roles that it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from infrastructure.role_status import Condition, RoleStatus

_CHECK_TIMEOUT_S: Final = 2.0


class Health(StrEnum):
    """`degraded`: works, but waits for something outside. `failed`: cannot do its work."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of one check, and a sentence unless all is well."""

    health: Health
    reason: str = ""


Check = Callable[[], Awaitable[CheckResult]]


class HealthChecks:
    """The checks of one process."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._roles: list[RoleStatus] = []

    def register(self, name: str, check: Check) -> None:
        """Add a check. It has two seconds; one that raises or takes longer counts as failed."""
        self._checks[name] = check

    def register_role(self, status: RoleStatus) -> None:
        """Add the condition of a role: starting counts as failed, waiting as degraded."""

        async def check() -> CheckResult:
            condition, reason = status.now()
            return CheckResult(_OF_CONDITION[condition], reason)

        self._roles.append(status)
        self.register(status.name, check)

    def stalled(self) -> list[str]:
        """Return the names of the roles that make no progress any more and need a restart."""
        return [status.name for status in self._roles if status.is_stalled]

    async def run(self) -> dict[str, CheckResult]:
        """Run all checks at once."""
        results = await asyncio.gather(*(self._run(check) for check in self._checks.values()))
        return dict(zip(self._checks, results, strict=True))

    async def _run(self, check: Check) -> CheckResult:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                return await check()
        except TimeoutError:
            return CheckResult(Health.FAILED, f"No answer within {_CHECK_TIMEOUT_S:g} s.")
        except Exception as error:  # noqa: BLE001 - whatever a check stumbles over is what health reports
            return CheckResult(Health.FAILED, f"{type(error).__name__}: {error}")


_OF_CONDITION: Final = {
    Condition.STARTING: Health.FAILED,
    Condition.OK: Health.OK,
    Condition.DEGRADED: Health.DEGRADED,
    Condition.STOPPED: Health.FAILED,
}


def overall(results: dict[str, CheckResult]) -> Health:
    """Return the worst of `results`; nothing to check is well."""
    found = {result.health for result in results.values()}
    return next((h for h in (Health.FAILED, Health.DEGRADED) if h in found), Health.OK)
