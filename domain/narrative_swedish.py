"""What happened to a batch, event by event, in plain Swedish: the sentences of `narrative.py` for teachers' pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from domain.aggregate import DomainEvent
from domain.batch_events import (
    AssessmentCompleted,
    AssessmentFailed,
    BatchAssessmentCompleted,
    BatchProgressed,
    BatchRegistered,
    BatchResultsReady,
    EssaySlotAssigned,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    MessageDrained,
    MessageParked,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.batch_state import is_anchor
from domain.narrative import NAMED
from domain.values import BatchStatus

_IN_WORDS: Final = {
    BatchStatus.COMPLETED_SUCCESSFULLY: "klar",
    BatchStatus.COMPLETED_WITH_FAILURES: "klar, med fel",
    BatchStatus.FAILED_CRITICALLY: "misslyckad",
    BatchStatus.CANCELLED: "avbruten",
}
_PHASES: Final = {
    "spellcheck": "stavningskontroll",
    "cj_assessment": "parvis bedömning",
    "nlp": "språkanalys",
    "ai_feedback": "återkoppling",
}


def swedish_sentence_for(event: DomainEvent) -> str:
    """Return a Swedish sentence that says what `event` says."""
    sentence = _SENTENCES.get(type(event))
    return sentence(event) if sentence else f"En händelse av slaget {event.topic} registrerades."


def _in_words(status: BatchStatus) -> str:
    return _IN_WORDS.get(status, status.value.replace("_", " "))


def _texts(number: int) -> str:
    return "1 text" if number == 1 else f"{_number(number)} texter"


def _number(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")


def _listed(names: Iterable[str], count: int) -> str:
    shown = ", ".join(islice(names, NAMED))
    return shown if count <= NAMED else f"{shown} och {_number(count - NAMED)} till"


def _registered(event: BatchRegistered) -> str:
    names = f": {_listed(event.essay_ids, len(event.essay_ids))}" if event.essay_ids else ""
    return f"Omgången registrerades för {event.user_id} med {_texts(len(event.essay_ids))}{names}."


def _slot_assigned(event: EssaySlotAssigned) -> str:
    return f"Den uppladdade filen {event.file_upload_id} tog platsen för text {event.essay_id}."


def _spellchecked(event: EssaySpellchecked) -> str:
    count = event.corrections_made
    corrections = "1 rättning" if count == 1 else f"{_number(count)} rättningar"
    return f"Text {event.essay_id} gick igenom stavningskontrollen med {corrections}."


def _spellcheck_failed(event: EssaySpellcheckFailed) -> str:
    return f"Stavningskontrollen av text {event.essay_id} misslyckades."


def _phase_concluded(event: PhaseConcluded) -> str:
    failed = len(event.failed_essay_ids)
    names = f": {_listed(event.failed_essay_ids, failed)}" if failed else ""
    phase = _PHASES.get(event.phase, event.phase)
    return (
        f"Steget {phase} rapporterades som {_in_words(event.status)}: {_texts(event.processed_count)} behandlade, "
        f"{_number(failed)} misslyckade{names}."
    )


def _assessed(event: AssessmentCompleted) -> str:
    anchors = sum(is_anchor(result) for result in event.results)
    beside = f" och {_number(anchors)} ankartexter" if anchors > 1 else " och 1 ankartext" if anchors else ""
    return f"Bedömningsjobbet {event.job_id} rangordnade {_texts(len(event.results) - anchors)}{beside}."


def _assessment_failed(event: AssessmentFailed) -> str:
    return f"Bedömningsjobbet {event.job_id} slutade utan att rangordna någon elevs text."


def _pipeline_completed(event: PipelineCompleted) -> str:
    phases = ", ".join(_PHASES.get(each, each) for each in event.completed_phases) or "inget steg"
    return f"Hela kedjan rapporterades som {_in_words(event.final_status)}; den nämner {phases}."


def _ranking_announced(event: BatchAssessmentCompleted) -> str:
    return f"Rangordningen av {_texts(len(event.rankings))} meddelades {event.user_id} (jobb {event.job_id})."


def _results_announced(event: BatchResultsReady) -> str:
    return (
        f"Resultaten meddelades {event.user_id}: {_in_words(event.overall_status)}, "
        f"{_number(event.completed_essays)} av {_texts(event.total_essays)} klara (version {event.revision})."
    )


def _progressed(event: BatchProgressed) -> str:
    return f"Läraren fick veta hur omgången ligger till: {_number(event.completed_essays)} klara, {_number(event.failed_essays)} misslyckade."


def _parked(event: MessageParked) -> str:
    waits = "ett tidigare meddelande för omgången är parkerat"
    why = waits if event.fault is None else f"vår egen kod kunde inte behandla det ({event.fault})"
    return f"Ett meddelande parkerades: {why}."


def _drained(event: MessageDrained) -> str:
    return f"Meddelandet som parkerades som händelse {event.parked_version} har behandlats."


_SENTENCES: Final[dict[type[DomainEvent], Callable[[Any], str]]] = {
    BatchRegistered: _registered,
    EssaySlotAssigned: _slot_assigned,
    EssaySpellchecked: _spellchecked,
    EssaySpellcheckFailed: _spellcheck_failed,
    PhaseConcluded: _phase_concluded,
    AssessmentCompleted: _assessed,
    AssessmentFailed: _assessment_failed,
    PipelineCompleted: _pipeline_completed,
    BatchAssessmentCompleted: _ranking_announced,
    BatchResultsReady: _results_announced,
    BatchProgressed: _progressed,
    MessageParked: _parked,
    MessageDrained: _drained,
}
