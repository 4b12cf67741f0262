"""From bytes to a command on a batch, or to the reason why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from application.contracts.enums import EssayStatus
from application.messages import IncomingMessage
from application.topics import (
    ASSESSMENT_RESULT,
    BATCH_ESSAYS_REGISTERED,
    BATCH_PHASE_OUTCOME,
    BATCH_PIPELINE_COMPLETED,
    COMPARISON_RESULT,
    ESSAY_NLP_COMPLETED,
    ESSAY_SLOT_ASSIGNED,
    INPUT_TOPICS,
    SPELLCHECK_RESULTS,
)
from application.translate import FUTURE_TOLERANCE, Rejection, translate
from application.translated_messages import TranslatedMessage
from domain.aggregate import DomainEvent
from domain.assessment import AssessmentAggregate
from domain.assessment_events import (
    AssessmentResultRecorded,
    JudgeDecisionFailed,
    JudgeDecisionRecorded,
    Side,
)
from domain.batch import BatchAggregate
from domain.batch_events import (
    AssessmentCompleted,
    BatchRegistered,
    EssaySlotAssigned,
    EssaySpellchecked,
    EssaySpellcheckFailed,
    PhaseConcluded,
    PipelineCompleted,
)
from domain.dead_letters import Reason
from domain.language_analysis import LanguageAnalysisAggregate, LanguageAnalysisRecorded
from domain.parking import ParkableStream
from domain.values import BatchStatus, SpellcheckMetrics
from tests.support.deciding import batch_id_in, decide
from tests.support.upstream import (
    RECEIVED_AT,
    RECORD_TIME,
    Place,
    altered,
    every_place,
    fullest_messages,
    record,
)

FULLEST = fullest_messages()

OWN_TIME: dict[str, Place] = {
    BATCH_ESSAYS_REGISTERED: ("data", "metadata", "timestamp"),
    ESSAY_SLOT_ASSIGNED: ("data", "timestamp"),
    SPELLCHECK_RESULTS: ("data", "timestamp"),
    ASSESSMENT_RESULT: ("data", "assessed_at"),
    BATCH_PIPELINE_COMPLETED: ("data", "metadata", "timestamp"),
    COMPARISON_RESULT: ("data", "completed_at"),
    ESSAY_NLP_COMPLETED: ("data", "timestamp"),
}
"""Where each payload bears its own time; a phase outcome has none."""

WITHOUT_BATCH = (COMPARISON_RESULT, ESSAY_NLP_COMPLETED)
"""What is for a judging job or an essay, and no batch."""


def statement(topic: str, value: dict[str, Any]) -> TranslatedMessage:
    """Translate what must be understood."""
    read = translate(record(topic, value), received_at=RECEIVED_AT)
    assert isinstance(read, TranslatedMessage), read
    return read


def recorded(topic: str, value: dict[str, Any]) -> DomainEvent:
    """Return the event that the message makes a new batch record, or a job where it is for no batch."""
    told = statement(topic, value)
    event, *others = decide(told, {})
    assert {event.happened_at for event in (event, *others)} == {told.happened_at}
    assert {id(event.causation) for event in (event, *others)} == {id(told.causation)}
    return event


# What each topic's message asks for.


@pytest.mark.parametrize("topic", [topic for topic in INPUT_TOPICS if topic not in WITHOUT_BATCH])
def test_a_message_is_for_the_batch_that_its_payload_names(topic: str) -> None:
    member = "entity_id" if topic == BATCH_ESSAYS_REGISTERED else "batch_id"

    assert batch_id_in(statement(topic, FULLEST[topic])) == FULLEST[topic]["data"][member]


def test_a_registration_registers_the_batch() -> None:
    data = FULLEST[BATCH_ESSAYS_REGISTERED]["data"]

    event = recorded(BATCH_ESSAYS_REGISTERED, FULLEST[BATCH_ESSAYS_REGISTERED])

    assert isinstance(event, BatchRegistered)
    assert (event.user_id, event.class_id, event.org_id) == (
        data["user_id"],
        data["class_id"],
        data["org_id"],
    )
    assert event.essay_ids == tuple(data["essay_ids"])
    assert event.course_code == data["course_code"]
    assert event.student_prompt_ref == data["student_prompt_ref"]


def test_a_slot_message_assigns_the_slot() -> None:
    data = FULLEST[ESSAY_SLOT_ASSIGNED]["data"]

    event = recorded(ESSAY_SLOT_ASSIGNED, FULLEST[ESSAY_SLOT_ASSIGNED])

    assert isinstance(event, EssaySlotAssigned)
    for member in ("essay_id", "file_upload_id", "text_storage_id", "original_file_name"):
        assert getattr(event, member) == data[member]


def test_a_spellcheck_result_records_the_essays_corrections() -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "status"), "spellchecked_success")
    data = message["data"]

    event = recorded(SPELLCHECK_RESULTS, message)

    assert isinstance(event, EssaySpellchecked)
    assert event.essay_id == data["entity_id"]
    assert event.metrics == SpellcheckMetrics(**data["correction_metrics"])
    for member in (
        "corrections_made",
        "original_text_storage_id",
        "corrected_text_storage_id",
        "processing_duration_ms",
        "processor_version",
    ):
        assert getattr(event, member) == data[member]


def test_a_failed_spellcheck_keeps_upstreams_account_of_the_error() -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "status"), "spellcheck_failed")
    message["data"]["system_metadata"]["error_info"] = {"error_code": "X", "details": [1, None]}

    event = recorded(SPELLCHECK_RESULTS, message)

    assert isinstance(event, EssaySpellcheckFailed)
    assert event.essay_id == message["data"]["entity_id"]
    assert event.error_info == {"error_code": "X", "details": [1, None]}


@pytest.mark.parametrize("status", [*EssayStatus, *BatchStatus])
def test_a_spellcheck_succeeded_when_its_status_holds_success(status: str) -> None:
    event = recorded(SPELLCHECK_RESULTS, altered(SPELLCHECK_RESULTS, ("data", "status"), status))

    assert isinstance(event, EssaySpellchecked if "success" in status else EssaySpellcheckFailed)


def test_a_phase_outcome_concludes_the_phase() -> None:
    message = altered(BATCH_PHASE_OUTCOME, ("data", "failed_essay_ids"), ["e2", "e1"])

    event = recorded(BATCH_PHASE_OUTCOME, message)

    assert isinstance(event, PhaseConcluded)
    assert event.phase == message["data"]["phase_name"]
    assert event.status == message["data"]["phase_status"]
    assert event.processed_count == len(message["data"]["processed_essays"])
    assert event.failed_essay_ids == ("e1", "e2")


def test_an_assessment_is_taken_over_with_every_line() -> None:
    data = FULLEST[ASSESSMENT_RESULT]["data"]

    event = recorded(ASSESSMENT_RESULT, FULLEST[ASSESSMENT_RESULT])

    assert isinstance(event, AssessmentCompleted)
    assert event.job_id == data["cj_assessment_job_id"]
    assert event.assignment_id == data["assignment_id"]
    assert (event.method, event.model_used) == (data["assessment_method"], data["model_used"])
    assert (event.model_provider, event.model_version) == (data["model_provider"], data["model_version"])
    assert event.metadata == data["assessment_metadata"]
    for result, line in zip(event.results, data["essay_results"], strict=True):
        assert {member: getattr(result, member) for member in line} == line


def test_a_pipeline_message_completes_the_pipeline() -> None:
    data = FULLEST[BATCH_PIPELINE_COMPLETED]["data"]

    event = recorded(BATCH_PIPELINE_COMPLETED, FULLEST[BATCH_PIPELINE_COMPLETED])

    assert isinstance(event, PipelineCompleted)
    assert event.completed_phases == tuple(data["completed_phases"])
    for member in (
        "final_status",
        "processing_duration_seconds",
        "successful_essay_count",
        "failed_essay_count",
    ):
        assert getattr(event, member) == data[member]


def test_an_assessment_is_for_its_batch_and_for_its_job() -> None:
    data = FULLEST[ASSESSMENT_RESULT]["data"]
    told = statement(ASSESSMENT_RESULT, FULLEST[ASSESSMENT_RESULT])

    assert [(command.stream_id, command.kind) for command in told.commands] == [
        (f"batch-{data['batch_id']}", BatchAggregate),
        (f"assessment-{data['cj_assessment_job_id']}", AssessmentAggregate),
    ]
    ranked, concluded = decide(told, {})
    assert isinstance(ranked, AssessmentCompleted)
    assert isinstance(concluded, AssessmentResultRecorded)
    assert concluded.batch_id == data["batch_id"]
    for shared in ("assignment_id", "method", "model_used", "model_provider", "results", "metadata"):
        assert getattr(concluded, shared) == getattr(ranked, shared)


def test_an_analysis_is_for_its_essay_and_for_no_batch() -> None:
    data = FULLEST[ESSAY_NLP_COMPLETED]["data"]
    told = statement(ESSAY_NLP_COMPLETED, FULLEST[ESSAY_NLP_COMPLETED])

    assert [(command.stream_id, command.kind) for command in told.commands] == [
        (f"analysis-{data['essay_id']}", LanguageAnalysisAggregate)
    ]
    [event] = decide(told, {})
    assert isinstance(event, LanguageAnalysisRecorded)
    assert event.metrics == data["nlp_metrics"]
    assert [*event.errors] == data["grammar_analysis"]["errors"]
    assert {**event.grammar, "errors": [*event.errors]} == data["grammar_analysis"]


def test_the_text_of_the_prompt_is_not_recorded() -> None:
    prompt = FULLEST[ESSAY_NLP_COMPLETED]["data"]["processing_metadata"]["student_prompt_text"]

    [event] = decide(statement(ESSAY_NLP_COMPLETED, FULLEST[ESSAY_NLP_COMPLETED]), {})

    assert prompt
    assert prompt not in str(vars(event))


def test_an_analysis_sent_again_without_a_time_of_its_own_is_a_repeat() -> None:
    message = altered(ESSAY_NLP_COMPLETED, ("data", "timestamp"))
    analyses: dict[str, ParkableStream] = {}
    assert decide(statement(ESSAY_NLP_COMPLETED, message), analyses)

    message["event_timestamp"] = "2026-03-07T20:00:00Z"
    assert not decide(statement(ESSAY_NLP_COMPLETED, message), analyses)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("data", "essay_id"), ""),
        (("data", "essay_id"), "x" * 256),
        (("data", "text_storage_id"), "x" * 256),
        (("data", "nlp_metrics", "word_count"), -1),
        (("data", "nlp_metrics", "phrasal_indices"), {str(n): 0.0 for n in range(1001)}),
        (("data", "grammar_analysis", "grammar_category_counts"), {"TYPOS": -1}),
        (("data", "grammar_analysis", "error_count"), 2**31),
    ],
)
def test_an_analysis_that_cannot_be_true_is_refused(place: Place, value: Any) -> None:
    read = translate(
        record(ESSAY_NLP_COMPLETED, altered(ESSAY_NLP_COMPLETED, place, value)), received_at=RECEIVED_AT
    )

    assert isinstance(read, Rejection)
    assert read.reason is Reason.CONTRACT_VIOLATION
    assert str(place[-1]) in read.detail


DECISION = {"winner": "Essay B", "justification": "clearer", "confidence": 4, "error_detail": None}


def answer(**changes: Any) -> dict[str, Any]:
    """Return a judge's decision with `changes` to its data."""
    message = altered(COMPARISON_RESULT, ("metadata",), None)
    message["data"] |= DECISION | changes
    return message


def asked(**changes: Any) -> dict[str, Any]:
    """Return a judge's decision with `changes` to what the asker sent along."""
    return answer(request_metadata=FULLEST[COMPARISON_RESULT]["data"]["request_metadata"] | changes)


def test_a_judges_decision_is_recorded_in_its_job() -> None:
    message = answer()
    data, metadata = message["data"], message["data"]["request_metadata"]

    event = recorded(COMPARISON_RESULT, message)

    assert isinstance(event, JudgeDecisionRecorded)
    assert event.originator_id == f"assessment-{metadata['cj_batch_id']}"
    assert event.batch_id == metadata["bos_batch_id"]
    assert (event.essay_a_id, event.essay_b_id) == (metadata["essay_a_id"], metadata["essay_b_id"])
    assert (event.winner, event.justification, event.confidence) == (Side.B, "clearer", 4.0)
    for member in ("request_id", "provider", "model", "response_time_ms"):
        assert getattr(event, member) == data[member]
    for member in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert getattr(event, member) == data["token_usage"][member]
    assert event.cost == data["cost_estimate"]
    assert event.requested_at == datetime.fromisoformat(data["requested_at"])
    assert event.happened_at == datetime.fromisoformat(data["completed_at"])
    assert event.request_metadata == metadata
    assert event.judge is None


def test_a_judges_failure_keeps_upstreams_account_of_the_error() -> None:
    error = {
        "error_code": "LLM_PROVIDER_TIMEOUT",
        "message": "no answer",
        "correlation_id": "4102bee7-b25b-4952-b322-e6820f7e7e8c",
        "timestamp": "2026-03-07T09:14:41Z",
        "service": "llm_provider_service",
        "operation": "compare",
        "details": {"attempt": 3},
    }
    message = answer(winner=None, justification=None, confidence=None, error_detail=error)

    event = recorded(COMPARISON_RESULT, message)

    assert isinstance(event, JudgeDecisionFailed)
    assert event.error_code == "LLM_PROVIDER_TIMEOUT"
    assert event.error == error | {"stack_trace": None, "trace_id": None, "span_id": None}


@pytest.mark.parametrize("job_id", [164, "164"])
def test_a_job_is_the_same_as_a_number_and_as_text(job_id: int | str) -> None:
    event = recorded(COMPARISON_RESULT, asked(cj_batch_id=job_id))

    assert event.originator_id == "assessment-164"


@pytest.mark.parametrize(
    ("sent", "judge"),
    [
        ({"judge": "judge-07"}, "judge-07"),
        ({"judge_id": "judge-08"}, "judge-08"),
        ({"judge": "judge-07", "judge_id": "judge-08"}, "judge-07"),
        ({"judge": 7, "judge_id": "judge-08"}, "judge-08"),
        ({"judge": ""}, None),
        ({"judge": "x" * 256}, None),
        ({"judge": {"name": "judge-07"}}, None),
    ],
)
def test_a_judge_has_a_name_where_the_asker_sent_one(sent: dict[str, Any], judge: str | None) -> None:
    event = recorded(COMPARISON_RESULT, asked(**sent))

    assert isinstance(event, JudgeDecisionRecorded)
    assert event.judge == judge
    assert event.request_metadata.items() >= sent.items()


@pytest.mark.parametrize("absent", [{}, {"bos_batch_id": None}])
def test_an_answer_may_come_without_a_batch(absent: dict[str, Any]) -> None:
    message = asked(**absent)
    if not absent:
        del message["data"]["request_metadata"]["bos_batch_id"]

    event = recorded(COMPARISON_RESULT, message)

    assert isinstance(event, JudgeDecisionRecorded)
    assert event.batch_id is None
    assert event.request_metadata == message["data"]["request_metadata"]


def test_messages_are_told_apart_by_topic_and_not_by_event_type() -> None:
    message = altered(ESSAY_SLOT_ASSIGNED, ("event_type",), SPELLCHECK_RESULTS)

    assert isinstance(recorded(ESSAY_SLOT_ASSIGNED, message), EssaySlotAssigned)


def test_the_letters_of_an_escaped_nul_are_only_letters() -> None:
    message = altered(ESSAY_SLOT_ASSIGNED, ("data", "original_file_name"), "essay\\u0000.docx")

    event = recorded(ESSAY_SLOT_ASSIGNED, message)

    assert isinstance(event, EssaySlotAssigned)
    assert event.original_file_name == "essay\\u0000.docx"


# Upstream's time of the fact.


@pytest.mark.parametrize("topic", OWN_TIME)
def test_the_payloads_own_time_is_the_time_of_the_fact(topic: str) -> None:
    message = altered(topic, OWN_TIME[topic], "2026-03-07T10:11:12.131415Z")

    assert statement(topic, message).happened_at == datetime(2026, 3, 7, 10, 11, 12, 131415, tzinfo=UTC)


@pytest.mark.parametrize("topic", [topic for topic in INPUT_TOPICS if topic != COMPARISON_RESULT])
@pytest.mark.parametrize("absent", [..., None], ids=["left-out", "null"])
def test_without_a_time_of_its_own_the_envelopes_stands_and_then_the_records(topic: str, absent: Any) -> None:
    message = altered(topic, OWN_TIME[topic], absent) if topic in OWN_TIME else altered(topic, ("key",), None)
    if topic == ASSESSMENT_RESULT:
        message["data"]["timestamp"] = None
    sent_at = datetime.fromisoformat(message["event_timestamp"])
    assert statement(topic, message).happened_at == sent_at

    message["event_timestamp"] = None
    assert statement(topic, message).happened_at == RECORD_TIME


def test_an_assessment_without_its_time_was_made_at_the_payloads() -> None:
    message = altered(ASSESSMENT_RESULT, ("data", "assessed_at"))
    message["data"]["timestamp"] = "2026-03-07T10:00:00Z"

    assert statement(ASSESSMENT_RESULT, message).happened_at == datetime(2026, 3, 7, 10, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc() -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "timestamp"), "2026-03-07T10:00:00")

    assert statement(SPELLCHECK_RESULTS, message).happened_at == datetime(2026, 3, 7, 10, tzinfo=UTC)


def test_a_time_in_another_zone_is_the_same_moment() -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "timestamp"), "2026-03-07T12:00:00+02:00")

    assert statement(SPELLCHECK_RESULTS, message).happened_at == datetime(2026, 3, 7, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "tolerance", "taken"),
    [
        (timedelta(0), FUTURE_TOLERANCE, True),
        (FUTURE_TOLERANCE, FUTURE_TOLERANCE, True),
        (FUTURE_TOLERANCE + timedelta(microseconds=1), FUTURE_TOLERANCE, False),
        (timedelta(days=3), timedelta(days=2), False),
        (timedelta(days=-3650), FUTURE_TOLERANCE, True),
    ],
)
def test_a_fact_from_too_far_ahead_is_refused(ahead: timedelta, tolerance: timedelta, taken: bool) -> None:
    at = (RECEIVED_AT + ahead).isoformat()
    message = record(SPELLCHECK_RESULTS, altered(SPELLCHECK_RESULTS, ("data", "timestamp"), at))

    read = translate(message, received_at=RECEIVED_AT, future_tolerance=tolerance)

    if taken:
        assert isinstance(read, TranslatedMessage)
    else:
        assert isinstance(read, Rejection)
        assert read.reason is Reason.IMPLAUSIBLE_TIME
        assert read.causation.event_id == FULLEST[SPELLCHECK_RESULTS]["event_id"]


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "2027-06-01T00:00:00Z"])
def test_the_end_of_the_calendar_is_too_far_ahead_in_any_zone(at: str) -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "timestamp"), at)

    read = translate(record(SPELLCHECK_RESULTS, message), received_at=RECEIVED_AT)

    assert isinstance(read, Rejection)
    assert read.reason is Reason.IMPLAUSIBLE_TIME


TIMES = [
    (topic, place)
    for topic, message in FULLEST.items()
    for place in [*every_place(message), *((("data", "requested_at"),) if topic == COMPARISON_RESULT else ())]
    if str(place[-1]).endswith(("timestamp", "_at"))
    and not {"error_info", "details", "request_metadata"} & set(place)
]
"""Every time of every contract, as far as the fullest messages have it."""


@pytest.mark.parametrize(
    ("topic", "place"), TIMES, ids=lambda value: ".".join(value) if isinstance(value, tuple) else value
)
@pytest.mark.parametrize(
    "at",
    [
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59Z",
    ],
)
def test_every_time_of_every_contract_must_be_plausible(topic: str, place: Place, at: str) -> None:
    read = translate(record(topic, altered(topic, place, at)), received_at=RECEIVED_AT)

    assert isinstance(read, Rejection)
    assert (read.reason, read.detail.split(" ")[0]) == (Reason.IMPLAUSIBLE_TIME, place[-1])


@pytest.mark.parametrize(
    ("topic", "place"), TIMES, ids=lambda value: ".".join(value) if isinstance(value, tuple) else value
)
@pytest.mark.parametrize(
    "at", ["2026-03-07T00:00:00+16:00", "2026-03-07T00:00:00-23:59", "2026-03-07T00:00:00+23:59"]
)
def test_every_offset_is_taken_and_no_event_holds_another_zone_than_utc(
    topic: str, place: Place, at: str
) -> None:
    for event in decide(statement(topic, altered(topic, place, at)), {}):
        times = [value for value in vars(event).values() if isinstance(value, datetime)]
        assert {time.tzinfo for time in times} == {UTC}


def test_a_record_time_beyond_the_calendar_is_refused_where_it_is_all_there_is() -> None:
    message = altered(SPELLCHECK_RESULTS, ("data", "timestamp"))
    del message["event_timestamp"]
    value = json.dumps(message).encode()

    read = translate(
        IncomingMessage(SPELLCHECK_RESULTS, 0, 0, timestamp_ms=10**15, key=None, value=value),
        received_at=RECEIVED_AT,
    )

    assert isinstance(read, Rejection)
    assert read.reason is Reason.IMPLAUSIBLE_TIME


# What caused it.


def test_a_statement_carries_where_its_message_lay_and_what_it_belongs_to() -> None:
    traceparent = "00-b42611c1654ec55d1d4bd701ede1dd80-2fdfd3b4fe09b99b-01"
    message = altered(SPELLCHECK_RESULTS, ("metadata",), {"traceparent": traceparent, "more": 1})

    causation = statement(SPELLCHECK_RESULTS, message).causation

    assert (causation.topic, causation.partition, causation.offset) == (SPELLCHECK_RESULTS, 2, 4711)
    assert causation.received_at == RECEIVED_AT
    assert causation.event_id == message["event_id"]
    assert causation.correlation_id == message["correlation_id"]
    assert causation.traceparent == traceparent


@pytest.mark.parametrize("metadata", [None, {}, {"traceparent": None}, {"traceparent": 7}])
def test_a_message_without_ids_has_none_to_carry(metadata: dict[str, Any] | None) -> None:
    message = altered(SPELLCHECK_RESULTS, ("metadata",), metadata)
    del message["event_id"], message["correlation_id"]

    causation = statement(SPELLCHECK_RESULTS, message).causation

    assert (causation.event_id, causation.correlation_id, causation.traceparent) == (None, None, None)
