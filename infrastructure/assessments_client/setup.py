"""Creates the client from the settings."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from infrastructure.assessments_client.client import ASSESSMENT_APP, HttpAssessments, assessment_metrics
from infrastructure.neighbours.call import SERVICE_ID, Calls
from infrastructure.neighbours.kept_replies import KeptReplies
from infrastructure.resilience import CircuitBreaker
from infrastructure.settings import Settings, SettingsError

FAILURES_IN_A_ROW: Final = 5
_KEPT_BYTES: Final = 32_000_000


def assessments_client(
    settings: Settings, api_key: SecretStr | None, registry: CollectorRegistry
) -> HttpAssessments | None:
    """Return the client of the app at RAS_ASSESSMENTS_URL, None where that is not set.

    `api_key` is what services share. Raises SettingsError where there is no key that the app could accept.
    """
    if settings.assessments_url is None:
        return None
    api_key = settings.assessments_api_key or api_key
    if api_key is None:
        raise SettingsError(
            "RAS_ASSESSMENTS_URL is set, and there is no key to ask there with: set RAS_ASSESSMENTS_API_KEY to the "
            f"key of the service {SERVICE_ID}."
        )
    breaker = CircuitBreaker(failures=FAILURES_IN_A_ROW, reset_after_s=settings.assessments_pause_s)
    calls = Calls(
        ASSESSMENT_APP,
        settings.assessments_url,
        api_key=api_key.get_secret_value(),
        deadline_s=settings.assessments_deadline_s,
        max_bytes=settings.assessments_max_bytes,
    )
    return HttpAssessments(
        calls,
        breaker=breaker,
        kept=KeptReplies(_KEPT_BYTES),
        metrics=assessment_metrics(registry, breaker),
    )
