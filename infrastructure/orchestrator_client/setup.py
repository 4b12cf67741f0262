"""The client put together from the settings."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from infrastructure.neighbours.call import Calls
from infrastructure.orchestrator_client.client import ORCHESTRATOR, HttpOrchestrator
from infrastructure.resilience import CircuitBreaker
from infrastructure.settings import Settings, SettingsError

FAILURES_IN_A_ROW: Final = 5
_MOST_BYTES: Final = 1_000_000


def orchestrator_client(
    settings: Settings, api_key: SecretStr | None, registry: CollectorRegistry
) -> HttpOrchestrator | None:
    """Return the client of the orchestrator at RAS_ORCHESTRATOR_URL, None where that is not set.

    Raises SettingsError where there is no key to ask with.
    """
    if settings.orchestrator_url is None:
        return None
    if api_key is None:
        raise SettingsError(
            "RAS_ORCHESTRATOR_URL is set, and RAS asks there with RAS_INTERNAL_API_KEY, which is not: set it."
        )
    calls = Calls(
        ORCHESTRATOR,
        settings.orchestrator_url,
        api_key=api_key.get_secret_value(),
        deadline_s=settings.orchestrator_deadline_s,
        max_bytes=_MOST_BYTES,
    )
    breaker = CircuitBreaker(failures=FAILURES_IN_A_ROW, reset_after_s=settings.orchestrator_pause_s)
    return HttpOrchestrator(calls, breaker=breaker, kept_s=settings.orchestrator_kept_s, registry=registry)
