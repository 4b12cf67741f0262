"""Messages that RAS reads: tolerant of fields it does not know, strict on those it does.

Strict means: no text where a number belongs, no value outside an enumeration, no negative count, no
number beyond what the tables hold (32 bits for counts), no identifier too long for an index. A schema
version other than 1 is a contract we do not know, so it is refused rather than guessed at.
`event_type` is required but not compared: two topics carry another name there in real traffic.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from application.contracts.enums import (
    ContentType,
    CourseCode,
    EssayComparisonWinner,
    EssayStatus,
    LLMProviderType,
    PhaseName,
    ProcessingEvent,
    ProcessingStage,
)
from application.contracts.error_codes import AnyErrorCode
from domain.times import in_utc
from domain.values import BatchStatus


def _noted(time: datetime, info: ValidationInfo) -> datetime:
    if time.utcoffset():
        time = in_utc(time)
    if info.context is not None:
        info.context.append((info.field_name, time))
    return time


Timestamp = Annotated[datetime, AfterValidator(_noted)]
"""In UTC once it is read, whatever its offset; it may lack a zone, which upstream's writers mean as UTC.

The validation context, where there is one, is a list: it receives the name and the value of each time, so that
one place checks whether they are plausible, for every field of every contract.
"""

# As text: a UUID object would be made only to be turned into text again, for each message twice.
Uuid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
    ),
]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Count = Annotated[int, Field(ge=0, le=2_147_483_647)]
Amount = Annotated[float, Field(ge=0)]
"""A duration, a density, a cost."""
Share = Annotated[float, Field(ge=0, le=1)]


class WireModel(BaseModel):
    """Base of everything read from a topic."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class SystemProcessingMetadata(WireModel):
    """Upstream's account of the work behind a message."""

    entity_id: str
    entity_type: str
    parent_id: str | None = None
    timestamp: Timestamp | None = None
    processing_stage: ProcessingStage | None = None
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    event: str | None = None
    error_info: dict[str, Any] = Field(default_factory=dict)


class StorageReferences(WireModel):
    """References to stored content, by kind and name."""

    references: dict[ContentType, dict[str, str]] = Field(default_factory=dict)


class BatchEssaysRegistered(WireModel):
    """A teacher registered a batch (`entity_id`) and the essays to expect."""

    event: str = "batch.essays.registered"
    entity_id: Identifier
    expected_essay_count: Count
    essay_ids: list[Identifier]
    metadata: SystemProcessingMetadata
    course_code: CourseCode
    student_prompt_ref: StorageReferences | None = None
    user_id: Identifier
    org_id: str | None = None
    class_id: Annotated[str, StringConstraints(max_length=255)] | None = None


class EssaySlotAssigned(WireModel):
    """An uploaded file took the place of an essay. `event` is sent, whatever it holds is not used."""

    event: Any = None
    batch_id: Identifier
    essay_id: Identifier
    file_upload_id: Annotated[str, StringConstraints(max_length=255)]
    text_storage_id: Annotated[str, StringConstraints(max_length=255)]
    original_file_name: Annotated[str, StringConstraints(max_length=4096)]
    correlation_id: Uuid | None = None
    timestamp: Timestamp | None = None


class SpellcheckMetrics(WireModel):
    """Counts of one spellcheck."""

    total_corrections: Count
    l2_dictionary_corrections: Count
    spellchecker_corrections: Count
    word_count: Count
    correction_density: Amount


class SpellcheckResult(WireModel):
    """One essay (`entity_id`) went through spellcheck; success means that `status` holds "success"."""

    event_name: ProcessingEvent
    entity_id: Identifier
    entity_type: str | None = None
    parent_id: str | None = None
    timestamp: Timestamp | None = None
    status: Annotated[EssayStatus | BatchStatus, Field(union_mode="left_to_right")]
    system_metadata: SystemProcessingMetadata
    batch_id: Identifier
    correlation_id: str
    user_id: str | None = None
    corrections_made: Count
    correction_metrics: SpellcheckMetrics
    original_text_storage_id: str
    corrected_text_storage_id: str | None = None
    processing_duration_ms: Count
    processor_version: str = "pyspellchecker_1.0_L2_swedish"


class ProcessedEssay(WireModel):
    """An essay that a phase handed on; `spellcheck_metrics` has no type upstream."""

    essay_id: Identifier
    text_storage_id: str
    spellcheck_metrics: Any = None


class BatchPhaseOutcome(WireModel):
    """A phase of a batch is over."""

    batch_id: Identifier
    phase_name: PhaseName
    phase_status: BatchStatus
    processed_essays: list[ProcessedEssay]
    failed_essay_ids: list[Identifier]
    correlation_id: Uuid | None = None


class EssayAssessment(WireModel):
    """One essay's comparative-judgement result; `bt_score` in logits."""

    essay_id: Identifier
    normalized_score: Share
    letter_grade: Annotated[str, StringConstraints(pattern=r"^([A-F][+-]?|U)$")]
    confidence_score: Share
    confidence_label: Literal["HIGH", "MID", "LOW"]
    bt_score: float
    rank: Annotated[int, Field(gt=0, le=2_147_483_647)]
    is_anchor: bool = False
    feedback_uri: str | None = None
    metrics_uri: str | None = None
    display_name: str | None = None


class AssessmentResult(WireModel):
    """A comparative-judgement job ranked the essays of a batch, anchors among them."""

    event_name: ProcessingEvent = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
    entity_id: str | None = None
    entity_type: str | None = None
    parent_id: str | None = None
    timestamp: Timestamp | None = None
    batch_id: Identifier
    cj_assessment_job_id: Identifier
    assignment_id: Annotated[str, StringConstraints(max_length=100)] | None = None
    assessment_method: str
    model_used: str
    model_provider: str
    model_version: str | None = None
    essay_results: list[EssayAssessment]
    assessment_metadata: dict[str, Any] = Field(default_factory=dict)
    assessed_at: Timestamp | None = None


class BatchPipelineCompleted(WireModel):
    """The orchestrator's last word on a batch; its counts and status are not to be trusted."""

    event: str = "batch.pipeline.completed"
    batch_id: Identifier
    completed_phases: list[Annotated[str, StringConstraints(min_length=1, max_length=100)]]
    final_status: BatchStatus
    processing_duration_seconds: Amount
    successful_essay_count: Count
    failed_essay_count: Count
    correlation_id: Uuid
    metadata: SystemProcessingMetadata


class TokenUsage(WireModel):
    """What a judge's answer took of the model."""

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count = 0


class ErrorDetail(WireModel):
    """Upstream's account of an error."""

    error_code: Annotated[AnyErrorCode, Field(union_mode="left_to_right")]
    message: str
    correlation_id: Uuid
    timestamp: Timestamp
    service: str
    operation: str
    details: dict[str, Any] = Field(default_factory=dict)
    stack_trace: str | None = None
    trace_id: str | None = None
    span_id: str | None = None


class RequestMetadata(WireModel):
    """What the asker sent along with a comparison; free-form upstream, but a decision belongs nowhere without
    these. The job's number comes as a number or as text. Members that nobody knows are kept.
    """

    model_config = ConfigDict(extra="allow")

    essay_a_id: Identifier
    essay_b_id: Identifier
    cj_batch_id: Identifier | Annotated[int, Field(ge=0, le=9_223_372_036_854_775_807)]
    bos_batch_id: Identifier | None = None


class ComparisonResult(WireModel):
    """A judge answered one request: winner, justification and confidence, or the error that took their place."""

    request_id: Identifier
    correlation_id: Uuid
    winner: EssayComparisonWinner | None = None
    justification: Annotated[str, StringConstraints(max_length=500)] | None = None
    confidence: Annotated[float, Field(ge=1, le=5)] | None = None
    error_detail: ErrorDetail | None = None
    provider: LLMProviderType
    model: Annotated[str, StringConstraints(max_length=255)]
    response_time_ms: Count
    token_usage: TokenUsage = Field(default_factory=TokenUsage)
    cost_estimate: Amount
    requested_at: Timestamp
    completed_at: Timestamp
    trace_id: str | None = None
    request_metadata: RequestMetadata

    @model_validator(mode="after")
    def _decided_or_failed(self) -> Self:
        if (self.winner is None) == (self.error_detail is None):
            raise ValueError("needs either a winner or an error_detail, and not both")
        if self.winner is not None and (self.justification is None or self.confidence is None):
            raise ValueError("a winner needs justification and confidence")
        return self


Indices = Annotated[dict[str, float], Field(max_length=1_000)]
Counts = Annotated[dict[str, Count], Field(max_length=1_000)]


class NlpMetrics(WireModel):
    """What was measured in a text."""

    word_count: Count
    sentence_count: Count
    avg_sentence_length: float
    language_detected: str
    processing_time_ms: Count = 0
    mean_zipf_frequency: float = 0.0
    percent_tokens_zipf_below_3: float = 0.0
    mtld_score: float = 0.0
    hdd_score: float = 0.0
    mean_dependency_distance: float = 0.0
    phrasal_indices: Indices = Field(default_factory=dict)
    clausal_indices: Indices = Field(default_factory=dict)
    first_order_coherence: float = 0.0
    second_order_coherence: float = 0.0
    avg_bigram_pmi: float = 0.0
    avg_trigram_pmi: float = 0.0
    avg_bigram_npmi: float = 0.0
    avg_trigram_npmi: float = 0.0


class GrammarError(WireModel):
    """One error; `context` is a piece of the essay's text, in which the error begins at `context_offset`."""

    rule_id: str
    message: str
    short_message: str
    offset: Count
    length: Count
    replacements: list[str] = Field(default_factory=list)
    category: str
    severity: str = "info"
    category_id: str
    category_name: str
    context: str
    context_offset: Count


class GrammarAnalysis(WireModel):
    """The errors of grammar and spelling in a text, and how many there are of each kind."""

    error_count: Count
    errors: list[GrammarError] = Field(default_factory=list)
    language: str
    processing_time_ms: Count = 0
    grammar_category_counts: Counts | None = None
    grammar_rule_counts: Counts | None = None


class EssayNlpCompleted(WireModel):
    """The language of an essay's text was analysed. It names no batch.

    `processing_metadata` is not read: it may contain the whole text of the teacher's prompt.
    """

    event_name: ProcessingEvent = ProcessingEvent.ESSAY_NLP_COMPLETED
    entity_id: str | None = None
    entity_type: str | None = None
    parent_id: str | None = None
    timestamp: Timestamp | None = None
    essay_id: Identifier
    text_storage_id: Annotated[str, StringConstraints(max_length=255)]
    nlp_metrics: NlpMetrics
    grammar_analysis: GrammarAnalysis
    processing_metadata: dict[str, Any] = Field(default_factory=dict)


Data = TypeVar("Data", bound=WireModel)


class Envelope(WireModel, Generic[Data]):
    """What stands around every payload. Only type, source and data are sure to be there."""

    event_id: Uuid | None = None
    event_type: Annotated[str, StringConstraints(min_length=1)]
    event_timestamp: Timestamp | None = None
    source_service: Annotated[str, StringConstraints(min_length=1)]
    schema_version: Literal[1] = 1
    correlation_id: Uuid | None = None
    data_schema_uri: str | None = None
    data: Data
    metadata: dict[str, Any] | None = None


def _field_names(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields).union(*map(_field_names, model.__subclasses__()))


FIELD_NAMES = frozenset(_field_names(WireModel))
"""Every field that a contract names: what may be repeated in the reason of a dead letter."""
