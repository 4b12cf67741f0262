"""Older versions of stored events, and the functions that turn each into the next version.

What is stored is never edited: an event that was written in 2026 is read for as long as its stream is. An
upcast takes the state of one version (JSON, without stream and version) and returns that of the version
after it. It is pure, it never fails on what some release has written, and it never changes once it is
released: the golden events in `tests/golden` hold it to that. `docs/changing-events.md` says when a new
version is needed at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady, MessageParked
from infrastructure.eventstore.codec import Upcast

State = dict[str, Any]


def _parked_v2(state: State) -> State:
    """Version 1 had one text: `KeyError: 'x'` for a fault, a sentence for a message that only waits."""
    fault, is_fault, _ = state["reason"].partition(": ")
    return state | {"fault": fault if is_fault and fault.isidentifier() else None}


def _results_ready_v2(state: State) -> State:
    """Version 1 knew neither the failed essays, nor the judging job, nor the run of its outcome."""
    return state | {"failed_essays": None, "job_id": None, "correlation_id": None}


def _assessment_announced_v2(state: State) -> State:
    """Version 1 did not know the run in which the job was judged."""
    return state | {"correlation_id": None}


RETIRED: Final[Mapping[str, tuple[str, Upcast]]] = {
    "ras.batch.message-parked.v1": (MessageParked.topic, _parked_v2),
    "ras.batch.results-ready.v1": (BatchResultsReady.topic, _results_ready_v2),
    "ras.batch.assessment-announced.v1": (BatchAssessmentCompleted.topic, _assessment_announced_v2),
}
"""By retired topic: the topic that follows it, and the upcast between them. None is ever taken away."""
