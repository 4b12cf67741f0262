"""Why a batch is ready or is not, read from its stream and written as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, Literal

from application import topics
from application.batch_at import BatchAt
from application.history import ReadStream, UnknownBatchError, UnreadableEvent, fold
from application.responses import history as responses
from domain.batch import batch_stream_id
from domain.batch_events import MessageDrained, MessageParked
from domain.narrative import NAMED
from domain.readiness import Message, PhaseReadiness, Readiness, explain

_TOPICS: Final[Mapping[Message, str]] = {
    Message.REGISTRATION: topics.BATCH_ESSAYS_REGISTERED,
    Message.SPELLCHECK_RESULT: topics.SPELLCHECK_RESULTS,
    Message.ASSESSMENT_RESULT: topics.ASSESSMENT_RESULT,
    Message.PHASE_OUTCOME: topics.BATCH_PHASE_OUTCOME,
}
"""Where each awaited message would come from."""


class ExplainReadiness:
    """The use case. Blocks while it reads: keep it off the event loop."""

    def __init__(self, read: ReadStream) -> None:
        self._read = read

    def __call__(self, batch_id: str, *, most: int | None = NAMED) -> responses.Explanation:
        """Return the explanation; lists of essays hold the first `most`, all of them for None.

        Raises UnknownBatchError when nothing at all is recorded of the batch.
        """
        batch, waiting, fault = BatchAt(), dict[int, MessageParked](), None
        position = 0
        for entry in self._read(batch_stream_id(batch_id), 0):
            position = entry.notification_id
            if isinstance(entry, UnreadableEvent):
                fault = (
                    fault
                    or f"event {entry.version} of this batch ({entry.topic}) cannot be read by this release"
                )
                continue
            event = entry.event
            match event:
                case MessageParked():
                    waiting[event.originator_version] = event
                case MessageDrained():
                    waiting.pop(event.parked_version, None)
            if fault is None and (kind := fold(batch, event)) is not None:
                fault = f"our own code fails on event {event.originator_version} of this batch ({kind})"
        if position == 0:
            raise UnknownBatchError("Nothing is recorded of a batch of this id.")
        parked = list(waiting.values())
        if fault is not None:
            return _unfoldable(batch_id, position, fault, parked)
        readiness = explain(batch.state, batch.expected, parked, named=most)
        return _body(batch_id, position, readiness, parked, most)


def _body(
    batch_id: str, position: int, readiness: Readiness, parked: Sequence[MessageParked], most: int | None
) -> responses.Explanation:
    return {
        "batch_id": batch_id,
        "position": position,
        "state": _state(readiness),
        "is_ready": readiness.is_ready,
        "overall_status": readiness.overall_status,
        "announced_status": readiness.announced_status,
        "revision": readiness.revision,
        "essays": {
            "expected": readiness.expected,
            "completed": readiness.completed,
            "failed": readiness.failed,
            "pending": readiness.pending,
            "unexpected": _some(readiness.unexpected, most),
        },
        "pipeline_status": readiness.pipeline_status,
        "assessment": None
        if readiness.assessment_job_id is None or readiness.ranked is None
        else {"job_id": readiness.assessment_job_id, "ranked": readiness.ranked},
        "phases": [_phase(phase, most) for phase in readiness.phases],
        "awaited": [
            {
                "message": awaited.message,
                "phase": awaited.phase,
                "count": awaited.count,
                "topic": _TOPICS[awaited.message],
            }
            for awaited in readiness.awaited
        ],
        "parked": _parked(parked, most),
        "sentences": list(readiness.sentences),
    }


def _state(readiness: Readiness) -> Literal["ready", "not_ready", "not_registered"]:
    if readiness.is_ready:
        return "ready"
    return "not_ready" if readiness.is_registered else "not_registered"


def _phase(phase: PhaseReadiness, most: int | None) -> responses.Phase:
    return {
        "phase": phase.phase,
        "required": phase.required,
        "completed": phase.completed,
        "failed": _some(phase.failed, most),
        "missing": _some(phase.missing, most),
        "upstream_status": phase.said,
        "upstream_said_at": phase.said_at,
    }


def _unfoldable(
    batch_id: str, position: int, fault: str, parked: Sequence[MessageParked]
) -> responses.Explanation:
    """Return what can be said where the state is not known: that, and what waits behind."""
    return {
        "batch_id": batch_id,
        "position": position,
        "state": "unreadable",
        "is_ready": None,
        "overall_status": None,
        "announced_status": None,
        "revision": None,
        "essays": None,
        "pipeline_status": None,
        "assessment": None,
        "phases": [],
        "awaited": [],
        "parked": _parked(parked, NAMED),
        "sentences": [
            f"Nobody can say: {fault}.",
            *([f"Messages of this batch that wait for a fix: {len(parked):,}."] if parked else []),
        ],
    }


def _parked(parked: Sequence[MessageParked], most: int | None) -> responses.ParkedMessages:
    return {
        "count": len(parked),
        "messages": [
            {
                "version": event.originator_version,
                "topic": event.causation.topic,
                "partition": event.causation.partition,
                "offset": event.causation.offset,
                "parked_at": event.causation.received_at,
            }
            for event in islice(parked, most)
        ],
    }


def _some(essay_ids: Sequence[str], most: int | None) -> responses.EssayIds:
    return {"count": len(essay_ids), "essay_ids": list(islice(essay_ids, most))}
