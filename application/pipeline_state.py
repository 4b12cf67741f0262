"""What the orchestrator knows of a batch that is not registered here yet, as the status route answers it.

The orchestrator creates a batch before RAS hears of it. It tells of each phase how far it is, and of no essay.
From that follows an answer that holds until the registration arrives; it is never recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, Protocol, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from application.responses.batches import BatchStatus, ShownPhase
from domain.times import in_utc
from domain.values import CLIENT_STATUS, ClientStatus
from domain.values import BatchStatus as Status

PHASES: Final[tuple[ShownPhase, ...]] = ("spellcheck", "nlp", "ai_feedback", "cj_assessment")
"""The phases that the orchestrator tells of, in the order of upstream's own service."""

_State = Literal[
    "requested_by_user",
    "pending_dependencies",
    "dispatch_initiated",
    "in_progress",
    "completed_successfully",
    "completed_with_partial_success",
    "failed",
    "skipped_due_to_dependency_failure",
    "skipped_by_user_config",
    "cancelled",
]
_LEFT_OUT: Final = frozenset({"skipped_by_user_config"})
_STOPPED: Final = frozenset({"failed", "cancelled", "skipped_due_to_dependency_failure"})
_RUNNING: Final = frozenset({"dispatch_initiated", "in_progress"})
_OVER: Final = _STOPPED | {"completed_successfully", "completed_with_partial_success"}

_Count = Annotated[int, Field(ge=0, le=2_147_483_647)]
_Time = Annotated[datetime, AfterValidator(in_utc)]


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Counts(_Read):
    total: _Count = 0
    successful: _Count = 0
    failed: _Count = 0


class _Phase(_Read):
    status: Annotated[_State, BeforeValidator(lambda text: text.lower() if isinstance(text, str) else text)]
    essay_counts: _Counts = _Counts()
    started_at: _Time | None = None
    completed_at: _Time | None = None


class _PipelineState(_Read):
    batch_id: str
    user_id: str | None = None
    requested_pipelines: list[str] = []
    spellcheck: _Phase | None = None
    nlp: _Phase | None = None
    ai_feedback: _Phase | None = None
    cj_assessment: _Phase | None = None
    last_updated: _Time | None = None

    def phases(self) -> dict[ShownPhase, _Phase]:
        """Return the phases that are to run: those that the user asked for, if any of them is reported."""
        told = {name: cast("_Phase | None", getattr(self, name)) for name in PHASES}
        there = {name: phase for name, phase in told.items() if phase and phase.status not in _LEFT_OUT}
        wanted = {name: phase for name, phase in there.items() if name in self.requested_pipelines}
        return wanted or there


@dataclass(frozen=True, slots=True)
class Known:
    """The answer of the status route, as JSON."""

    content: bytes


@dataclass(frozen=True, slots=True)
class NotKnown:
    """The orchestrator does not know the batch either, or there is none to ask."""


@dataclass(frozen=True, slots=True)
class CannotAsk:
    """Whether there is such a batch is open: a sentence for people, without hosts of this installation."""

    reason: str


Told = Known | NotKnown | CannotAsk


class Orchestrator(Protocol):
    """Where batches can be asked for that are not registered here."""

    async def status(self, batch_id: str, *, correlation_id: str) -> Told:
        """Return what it says, within a bounded time; never raises for what goes wrong outside."""


class NoOrchestrator:
    """An installation that asks none."""

    async def status(self, batch_id: str, *, correlation_id: str) -> Told:
        """Return that the batch is not known."""
        del batch_id, correlation_id
        return NotKnown()


def status_of(batch_id: str, body: object, *, now: datetime) -> BatchStatus | None:
    """Return the status of a batch from the orchestrator's answer, None where that names no owner.

    Without an owner nobody could check whose batch it is. `now` stands for times that the answer lacks. Raises
    ValueError, a sentence that names nothing from the answer, where the answer is not a pipeline's state.
    """
    try:
        state = _PipelineState.model_validate(body)
    except ValueError:
        raise ValueError("it is not the state of a pipeline") from None
    if state.batch_id != batch_id:
        raise ValueError("it is not about this batch")
    if not state.user_id:
        return None
    phases = state.phases()
    counts = [phase.essay_counts for phase in phases.values()]
    total = max((each.total for each in counts), default=0)
    # Counts are per phase: an essay is done when each phase has it, so the phase that is behind counts.
    completed = min(total, min((each.successful for each in counts), default=0))
    times = [phase.started_at for phase in phases.values() if phase.started_at is not None]
    ends = [phase.completed_at for phase in phases.values() if phase.completed_at is not None]
    status = _overall([phase.status for phase in phases.values()])
    is_running = status == CLIENT_STATUS[Status.PROCESSING_PIPELINES]
    updated_at = state.last_updated or max([*times, *ends], default=now)
    return {
        "batch_id": batch_id,
        "user_id": state.user_id,
        "assignment_id": None,
        "overall_status": status,
        "essay_count": total,
        "completed_essay_count": completed,
        "failed_essay_count": min(total - completed, sum(each.failed for each in counts)),
        "requested_pipeline": ",".join(state.requested_pipelines) or None,
        "current_phase": next(
            (n for n, phase in phases.items() if is_running and phase.status in _RUNNING), None
        ),
        "essays": [],
        "created_at": min([*times, updated_at]),
        "last_updated": updated_at,
        "processing_started_at": min(times, default=None),
        "processing_completed_at": None if is_running else max(ends, default=None),
        "student_prompt_ref": None,
    }


def _overall(states: Sequence[str]) -> ClientStatus:
    """Return what clients see: as upstream's service has it, but that a partial success is one with failures."""
    if any(state in _STOPPED for state in states):
        found = Status.COMPLETED_WITH_FAILURES
    elif not states or any(state not in _OVER for state in states):
        found = Status.PROCESSING_PIPELINES
    elif all(state == "completed_successfully" for state in states):
        found = Status.COMPLETED_SUCCESSFULLY
    else:
        found = Status.COMPLETED_WITH_FAILURES
    return CLIENT_STATUS[found]
