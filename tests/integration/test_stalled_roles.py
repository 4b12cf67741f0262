"""A role that makes no progress fails its liveness check, and one that cannot end is ended within its time."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import httpx
import pytest
from prometheus_client import CollectorRegistry

from infrastructure import role_status
from infrastructure.health import HealthChecks
from infrastructure.http.health import health_app
from infrastructure.role_status import Condition, RoleStatus

_HANGS: Final = {
    "the event loop": "time.sleep(600)",
    "a thread that the interpreter waits for": "threading.Thread(target=time.sleep, args=(600,)).start()",
}


async def _live(status: RoleStatus) -> tuple[int, dict[str, object]]:
    checks = HealthChecks()
    checks.register_role(status)
    transport = httpx.ASGITransport(health_app(checks, CollectorRegistry()))
    async with httpx.AsyncClient(transport=transport, base_url="http://role") as client:
        response = await client.get("/healthz/live")
    return response.status_code, response.json()


async def test_a_step_that_will_not_end_fails_liveness_and_its_end_mends_it() -> None:
    status = RoleStatus("projector", stalled_after_s=0)
    status.well()
    assert await _live(status) == (200, {"status": "alive"})

    with status.step():
        assert await _live(status) == (503, {"status": "stalled", "roles": ["projector"]})

    assert await _live(status) == (200, {"status": "alive"})


async def test_waiting_for_a_server_is_not_stalling() -> None:
    status = RoleStatus("publisher", stalled_after_s=0)
    status.degraded("Kafka does not answer")

    assert status.now()[0] is Condition.DEGRADED
    assert (await _live(status))[0] == 200


async def test_a_role_that_starts_slowly_is_degraded_and_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = RoleStatus("publisher", stalled_after_s=0)
    status.waits_for("Kafka, to connect")
    at_first = status.now()
    monkeypatch.setattr(role_status, "SLOW_AFTER_S", -1)

    later = status.now()

    assert at_first[0] is Condition.STARTING
    assert later == (Condition.DEGRADED, "The role is starting: it waits for Kafka, to connect.")
    assert (await _live(status))[0] == 200
    status.degraded("Kafka does not answer")
    status.waits_for("the database")
    assert status.now() == (Condition.DEGRADED, "Kafka does not answer")


@pytest.mark.parametrize("hang", _HANGS.values(), ids=_HANGS)
def test_a_process_that_hangs_ends_by_force_within_its_time(hang: str) -> None:
    program = (
        "import threading, time\nfrom infrastructure.roles.ending import end_within\n"
        f"end_within(0.1)\n{hang}\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, check=False)

    assert ended.returncode == 1
    assert b"role.ended_by_force" in ended.stdout + ended.stderr
