"""What readers see of a batch: its status from registration to outcome, its phase, its failed essays.

Pure functions of a few facts, so that a read model can store what they return and a query can ask them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from domain.values import BatchStatus, Phase

ShownPhase = Literal["spellcheck", "cj_assessment"]
"""The phases that clients know."""


def batch_status(outcome: BatchStatus | None, *, has_results: bool, has_all_files: bool) -> BatchStatus:
    """Return the status of a registered batch.

    `outcome` is the status announced last, None before the first. `has_results`: a phase has shown results.
    `has_all_files`: the registration names essays, and each has its file.
    """
    if outcome is not None:
        return outcome
    if has_results:
        return BatchStatus.PROCESSING_PIPELINES
    if has_all_files:
        return BatchStatus.READY_FOR_PIPELINE_EXECUTION
    return BatchStatus.AWAITING_CONTENT_VALIDATION


def current_phase(
    status: BatchStatus, required: Collection[str], *, total: int, spellchecked: int, is_assessed: bool
) -> ShownPhase | None:
    """Return the phase in which a batch is while it is processed, None at any other time.

    `total` essays are expected, of which `spellchecked` have a spellcheck result.
    """
    if status is not BatchStatus.PROCESSING_PIPELINES:
        return None
    if Phase.SPELLCHECK in required and spellchecked < total:
        return "spellcheck"
    return "cj_assessment" if Phase.CJ_ASSESSMENT in required and not is_assessed else None


def failed_essays(status: BatchStatus, *, total: int, completed: int, failed: int) -> int:
    """Return how many essays a batch counts as failed: after a critical failure none is pending any more."""
    return total - completed if status is BatchStatus.FAILED_CRITICALLY else failed
