"""Failures of single essays as upstream's clients know them: one shape for every service."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from domain.batch_events import EssaySpellcheckFailed
from domain.times import utc_text

_SERVICE: Final = "result_aggregator_service"


def spellcheck_error(event: EssaySpellcheckFailed) -> dict[str, Any]:
    """Return a failed spellcheck, with upstream's own account inside."""
    message = event.error_info.get("error_message")
    return {
        "error_code": "SPELLCHECK_SERVICE_ERROR",
        "message": message if isinstance(message, str) else "The spellcheck failed.",
        "correlation_id": event.causation.correlation_id,
        "service": _SERVICE,
        "operation": "spellcheck",
        "timestamp": utc_text(event.happened_at),
        "details": dict(event.error_info),
    }


def missing_assessment(job_id: str, assessed_at: datetime) -> dict[str, Any]:
    """Return that the job `job_id` has no result for an essay."""
    return {
        "error_code": "PROCESSING_ERROR",
        "message": "The assessment has no result for this essay.",
        "service": _SERVICE,
        "operation": "cj_assessment",
        "timestamp": utc_text(assessed_at),
        "correlation_id": None,
        "details": {"cj_assessment_job_id": job_id},
    }
