"""Names that other services depend on: topics and this service's own name."""

from typing import Final

from domain.notifications import NOTIFICATION_TOPIC

BATCH_ESSAYS_REGISTERED: Final = "huleedu.batch.essays.registered.v1"
ESSAY_SLOT_ASSIGNED: Final = "huleedu.els.essay.slot.assigned.v1"
SPELLCHECK_RESULTS: Final = "huleedu.essay.spellcheck.results.v1"
BATCH_PHASE_OUTCOME: Final = "huleedu.els.batch.phase.outcome.v1"
ASSESSMENT_RESULT: Final = "huleedu.assessment.result.published.v1"
BATCH_PIPELINE_COMPLETED: Final = "huleedu.batch.pipeline.completed.v1"
COMPARISON_RESULT: Final = "huleedu.llm_provider.comparison_result.v1"
ESSAY_NLP_COMPLETED: Final = "huleedu.essay.nlp.completed.v1"

INPUT_TOPICS: Final = (
    BATCH_ESSAYS_REGISTERED,
    ESSAY_SLOT_ASSIGNED,
    SPELLCHECK_RESULTS,
    BATCH_PHASE_OUTCOME,
    ASSESSMENT_RESULT,
    BATCH_PIPELINE_COMPLETED,
    COMPARISON_RESULT,
    ESSAY_NLP_COMPLETED,
)

BATCH_RESULTS_READY: Final = "huleedu.ras.batch.results.ready.v1"
BATCH_ASSESSMENT_COMPLETED: Final = "huleedu.ras.batch.assessment.completed.v1"
TEACHER_NOTIFICATION_REQUESTED: Final = NOTIFICATION_TOPIC

DEAD_LETTERS: Final = "ras.dead-letters.v1"
"""For operators' tools: that a message became a dead letter, and where it is in Kafka."""

ANNOUNCEMENT_TOPICS: Final = (
    BATCH_RESULTS_READY,
    BATCH_ASSESSMENT_COMPLETED,
    TEACHER_NOTIFICATION_REQUESTED,
)
"""What is said of batches."""

OUTPUT_TOPICS: Final = (*ANNOUNCEMENT_TOPICS, DEAD_LETTERS)

PUBLISHER_POSITION: Final = "ras.publisher.position"
"""Compacted: the publisher's place in the event store, written in its own transactions."""

SHARED_TOPICS: Final = frozenset({TEACHER_NOTIFICATION_REQUESTED})
"""Out-topics to which other services write too."""

SOURCE_SERVICE: Final = "result_aggregator_service"
