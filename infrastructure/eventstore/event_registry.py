"""Every event class that RAS stores, under its stable topic name. A topic never leaves this list."""

from __future__ import annotations

from functools import cache
from typing import Final

from domain import assessment_events, batch_events, dead_letters, inbox, language_analysis
from domain.aggregate import DomainEvent
from infrastructure.eventstore.codec import EventCodec
from infrastructure.eventstore.upcasts import RETIRED

EVENT_CLASSES: Final[tuple[type[DomainEvent], ...]] = (
    batch_events.BatchRegistered,
    batch_events.EssaySlotAssigned,
    batch_events.EssaySpellchecked,
    batch_events.EssaySpellcheckFailed,
    batch_events.PhaseConcluded,
    batch_events.AssessmentCompleted,
    batch_events.AssessmentFailed,
    batch_events.PipelineCompleted,
    batch_events.BatchResultsReady,
    batch_events.BatchAssessmentCompleted,
    batch_events.BatchProgressed,
    batch_events.MessageParked,
    batch_events.MessageDrained,
    assessment_events.JudgeDecisionRecorded,
    assessment_events.JudgeDecisionFailed,
    assessment_events.AssessmentResultRecorded,
    language_analysis.LanguageAnalysisRecorded,
    dead_letters.MessageDeadLettered,
    dead_letters.DeadLetterRetried,
    dead_letters.DeadLetterReplaced,
    dead_letters.DeadLetterDiscarded,
    inbox.NotificationRead,
)


@cache
def event_codec() -> EventCodec:
    """Return the codec for everything in the store, one per process.

    What it has built to read an event is there for all its users.
    """
    return EventCodec(EVENT_CLASSES, RETIRED)
