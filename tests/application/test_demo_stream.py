"""The generated traffic is upstream's: its contracts, its shapes, and outcomes that hold in any order."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import jsonschema_rs
import pytest

from application import topics
from application.messages import IncomingMessage
from application.translate import translate
from application.translated_messages import TranslatedMessage
from domain.aggregate import DomainEvent
from domain.assessment_events import AssessmentResultRecorded, JudgeDecisionRecorded, Side
from domain.batch import BatchAggregate
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.parking import ParkableStream
from domain.values import BatchStatus
from infrastructure.demo.script import START, ExpectedBatch, draw_script
from infrastructure.demo.stream import Scenario, bulk, iterate_bulk, stream
from infrastructure.demo.upstream import UpstreamMessage, batch_messages
from tests.support.deciding import batches_among, decide

SHARED = Path(__file__).parents[3] / "shared"
RECEIVED_AT = datetime(2026, 3, 8, tzinfo=UTC)

Record = tuple[str, bytes | None, bytes]


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    """A small stream with everything in it: sizes, troubles, disorder, repeats."""
    return stream(11, 30, failure_share=0.6, disorder=0.3, repeats=0.2, judged=2)


@pytest.fixture(scope="module")
def sent(scenario: Scenario) -> list[UpstreamMessage]:
    """The messages of that stream, generated once."""
    return list(scenario)


def records(messages: Iterable[UpstreamMessage]) -> list[Record]:
    return [(message.topic, message.key, message.value) for message in messages]


def played(stream_of_records: Iterable[Record]) -> dict[str, tuple[BatchAggregate, list[DomainEvent]]]:
    """Feed the records to the domain; return each batch with its recorded events."""
    aggregates: dict[str, ParkableStream] = {}
    events: dict[str, list[DomainEvent]] = defaultdict(list)
    for offset, (topic, key, value) in enumerate(stream_of_records):
        message = IncomingMessage(topic, 0, offset, 0, key, value)
        statement = translate(message, received_at=RECEIVED_AT)
        assert isinstance(statement, TranslatedMessage), statement
        for event in decide(statement, aggregates):
            events[event.originator_id].append(event)
    batches = batches_among(aggregates)
    return {batch_id: (batch, events[batch.id]) for batch_id, batch in batches.items()}


def check_outcomes(stream_of_records: Iterable[Record], expected: dict[str, ExpectedBatch]) -> None:
    outcomes = played(stream_of_records)
    assert outcomes.keys() == expected.keys()
    for batch_id, (batch, events) in outcomes.items():
        check_outcome(batch, events, expected[batch_id])


def check_outcome(batch: BatchAggregate, events: list[DomainEvent], expected: ExpectedBatch) -> None:
    assert batch.overall_status == expected.overall_status
    assert batch.counts == (expected.total, expected.completed, expected.failed)

    announced = [event for event in events if isinstance(event, BatchResultsReady)]
    statuses = [event.overall_status for event in announced]
    assert statuses[-1] == expected.overall_status
    outcomes = [
        (event.overall_status, {result.phase for result in event.phase_results}, event.job_id)
        for event in announced
    ]
    assert all(earlier != later for earlier, later in itertools.pairwise(outcomes))
    assert len(statuses) == 1 or not expected.announced_once
    assert {event.user_id for event in announced} == {expected.user_id}

    rankings = [event.rankings for event in events if isinstance(event, BatchAssessmentCompleted)]
    assert len(rankings) == int(expected.assessment_announced)
    ranked = {line.essay_id for lines in rankings for line in lines}
    assert len(ranked) == expected.rankings
    assert ranked <= set(expected.essay_ids) - expected.failed_essay_ids


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_domain_makes_of_a_stream_what_is_expected(seed: int) -> None:
    scenario = stream(seed, 25, failure_share=0.5)
    check_outcomes(records(scenario), scenario.expected)


@pytest.mark.parametrize("seed", range(4, 10))
def test_expectations_hold_however_the_messages_are_shuffled(seed: int) -> None:
    scenario = stream(seed, 20, class_sizes=(1, 2, 8, 24), failure_share=0.8, disorder=1.0, repeats=0.5)
    shuffled = records(scenario)
    Random(seed).shuffle(shuffled)
    check_outcomes(shuffled, scenario.expected)


def test_expectations_hold_when_everything_comes_backwards(
    scenario: Scenario, sent: list[UpstreamMessage]
) -> None:
    check_outcomes(reversed(records(sent)), scenario.expected)


def test_a_stream_shows_every_outcome(scenario: Scenario) -> None:
    outcomes = {expected.overall_status for expected in scenario.expected.values()}
    assert outcomes == {
        BatchStatus.COMPLETED_SUCCESSFULLY,
        BatchStatus.COMPLETED_WITH_FAILURES,
        BatchStatus.FAILED_CRITICALLY,
    }
    assert {len(script.essay_ids) for script in scenario.scripts} == {1, 8, 24, 30, 90}
    assert {script.assessed for script in scenario.scripts if not script.all_failed} == {True, False}
    assert {expected.announced_once for expected in scenario.expected.values()} == {True, False}
    assert {script.class_id is None for script in scenario.scripts} == {True, False}
    assert {script.prompt_storage_id is None for script in scenario.scripts} == {True, False}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    once = list(stream(5, 6))
    assert once == list(stream(5, 6))
    assert {message.value for message in once}.isdisjoint(message.value for message in stream(6, 6))


def test_a_scenario_can_be_read_twice(scenario: Scenario) -> None:
    assert list(scenario) == list(scenario)


def test_many_batches_are_open_at_the_same_time(sent: list[UpstreamMessage]) -> None:
    assert most_open(records(sent)) > 10


def test_without_disorder_messages_arrive_as_they_are_sent() -> None:
    messages = list(stream(7, 10, disorder=0.0, repeats=0.0))
    assert [m.sent_at for m in messages] == sorted(m.sent_at for m in messages)


def test_disorder_turns_topics_of_one_batch_around() -> None:
    first_topics: dict[str, str] = {}
    for message in stream(7, 30, disorder=0.5, repeats=0.0):
        if message.topic != topics.ESSAY_NLP_COMPLETED:  # it names no batch
            first_topics.setdefault(batch_of(message.topic, message.value), message.topic)
    assert topics.BATCH_ESSAYS_REGISTERED in first_topics.values()
    assert set(first_topics.values()) - {topics.BATCH_ESSAYS_REGISTERED}


def test_the_language_of_every_essay_of_an_analysed_class_is_analysed_unless_its_spellcheck_failed(
    scenario: Scenario, sent: list[UpstreamMessage]
) -> None:
    expected = {
        essay_id for script in scenario.scripts if script.analysed for essay_id in script.surviving_essay_ids
    }
    analysed = {
        message.key.decode()
        for message in sent
        if message.topic == topics.ESSAY_NLP_COMPLETED and message.key is not None
    }
    assert analysed == expected
    assert len({script.analysed for script in scenario.scripts}) == 2


def test_judges_answer_each_pair_of_a_judged_class_and_mostly_as_the_result_has_it(
    scenario: Scenario, sent: list[UpstreamMessage]
) -> None:
    judged = {script.batch_id: script for script in scenario.scripts if script.judged}
    assert len(judged) == 2
    aggregates: dict[str, ParkableStream] = {}
    events: dict[str, list[DomainEvent]] = defaultdict(list)
    for offset, message in enumerate(sent):
        incoming = IncomingMessage(message.topic, 0, offset, 0, message.key, message.value)
        statement = translate(incoming, received_at=RECEIVED_AT)
        assert isinstance(statement, TranslatedMessage)
        for event in decide(statement, aggregates):
            events[event.originator_id].append(event)

    for script in judged.values():
        job = events[f"assessment-{script.job_id}"]
        decisions = [event for event in job if isinstance(event, JudgeDecisionRecorded)]
        [result] = [event for event in job if isinstance(event, AssessmentResultRecorded)]
        ranks = {line.essay_id: line.rank for line in result.results}
        assert len(decisions) == len(ranks) * (len(ranks) - 1) / 2 == result.metadata["comparison_count"]
        assert {frozenset((d.essay_a_id, d.essay_b_id)) for d in decisions} == set(
            map(frozenset, itertools.combinations(ranks, 2))
        )
        as_ranked = [(ranks[d.essay_a_id] < ranks[d.essay_b_id]) is (d.winner is Side.A) for d in decisions]
        assert sum(as_ranked) / len(as_ranked) > 0.75
        assert max(d.happened_at for d in decisions) < result.happened_at


def test_repeats_are_identical_or_the_same_content_under_a_new_id() -> None:
    messages = list(stream(8, 20, repeats=0.3))
    by_content: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for message in messages:
        envelope = json.loads(message.value)
        by_content[message.topic, json.dumps(envelope["data"])].append(envelope)
    pairs = [pair for pair in by_content.values() if len(pair) == 2]
    renewed = [(a, b) for a, b in pairs if a["event_id"] != b["event_id"]]

    assert 0.2 < len(pairs) / len(by_content) < 0.4
    assert 0.3 < len(renewed) / len(pairs) < 0.7
    for one, other in pairs:
        differing = {name for name in one if one[name] != other[name]}
        assert differing in (set(), {"event_id", "event_timestamp"})


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="disorder is a share"):
        stream(1, 1, disorder=share)


def test_a_batch_cannot_have_more_troubled_essays_than_essays() -> None:
    with pytest.raises(ValueError, match="2 essays cannot have 2 failed and 1 rechecked"):
        draw_script("1", starts_at=START, user_id="teacher-0001", job_id="1", essays=2, failed=2, rechecked=1)


def test_a_class_that_failed_whole_gets_no_pipeline_message() -> None:
    script = draw_script("1", starts_at=START, user_id="teacher-0001", job_id="1", essays=4, failed=4)
    sent = Counter(message.topic for message in batch_messages(script))
    assert sent == {
        topics.BATCH_ESSAYS_REGISTERED: 1,
        topics.ESSAY_SLOT_ASSIGNED: 4,
        topics.SPELLCHECK_RESULTS: 4,
        topics.BATCH_PHASE_OUTCOME: 1,
    }


def test_anchors_stand_among_the_students() -> None:
    script = draw_script("3", starts_at=START, user_id="teacher-0001", job_id="1", essays=30)
    [assessment] = [m for m in batch_messages(script) if m.topic == topics.ASSESSMENT_RESULT]
    results = json.loads(assessment.value)["data"]["essay_results"]
    student_ranks = [result["rank"] for result in results if not result["is_anchor"]]

    assert [result["rank"] for result in results] == list(range(1, 31 + script.anchors))
    assert script.anchors > 0
    assert student_ranks != list(range(1, 31))
    assert assessment.key == b"1"


def test_bulk_batches_are_good_and_complete() -> None:
    messages = bulk(3, 12, essays=5, open_batches=4)
    outcomes = played(messages)

    assert len(messages) == 12 * (2 * 5 + 5)
    assert len({json.loads(value)["event_id"] for _, _, value in messages}) == len(messages)
    assert len({key for topic, key, _ in messages if topic == topics.ASSESSMENT_RESULT}) == 12
    assert len(outcomes) == 12
    for batch, events in outcomes.values():
        assert batch.overall_status is BatchStatus.COMPLETED_SUCCESSFULLY
        assert batch.counts == (5, 5, 0)
        assert sum(isinstance(event, BatchResultsReady) for event in events) == 1


@pytest.mark.parametrize(("batches", "open_batches"), [(12, 4), (12, 5), (3, 200), (1, 1)])
def test_bulk_keeps_so_many_batches_open(batches: int, open_batches: int) -> None:
    messages = bulk(3, batches, essays=5, open_batches=open_batches)
    assert most_open(messages) == min(batches, open_batches)
    assert len(messages) == batches * 15


def test_bulk_of_no_batches_is_empty() -> None:
    assert list(iterate_bulk(1, 0)) == []


def most_open(stream_of_records: Sequence[Record]) -> int:
    """Return how many batches are at most between their first and last message at one time."""
    named = [
        batch_of(topic, value)
        for topic, _, value in stream_of_records
        if topic != topics.ESSAY_NLP_COMPLETED  # it names no batch
    ]
    last = {batch_id: position for position, batch_id in enumerate(named)}
    opened: set[str] = set()
    most = 0
    for position, batch_id in enumerate(named):
        opened.add(batch_id)
        most = max(most, len(opened))
        if last[batch_id] == position:
            opened.remove(batch_id)
    return most


def batch_of(topic: str, value: bytes) -> str:
    data = json.loads(value)["data"]
    if topic == topics.COMPARISON_RESULT:
        return str(data["request_metadata"]["bos_batch_id"])
    return str(data["entity_id" if topic == topics.BATCH_ESSAYS_REGISTERED else "batch_id"])


# Against upstream's contracts and recorded messages, where they lie beside the project.

needs_contracts = pytest.mark.skipif(
    not SHARED.exists(), reason="upstream's contracts are not beside the project"
)


@needs_contracts
def test_every_message_keeps_upstreams_schema(sent: list[UpstreamMessage]) -> None:
    validators = {
        topic: jsonschema_rs.Draft202012Validator(
            json.loads((SHARED / "contracts" / f"{topic}.schema.json").read_text()),
            validate_formats=True,
        )
        for topic in topics.INPUT_TOPICS
    }
    for topic, value in {(topic, value) for topic, _, value in [*records(sent), *bulk(1, 2)]}:
        validators[topic].validate(json.loads(value))


@needs_contracts
def test_every_message_has_a_shape_that_upstream_was_seen_to_send(sent: list[UpstreamMessage]) -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for line in recorded():
        seen[line["topic"]] |= shape(line["value"])
    for topic, _, value in records(sent):
        assert shape(json.loads(value)) <= seen[topic]


@needs_contracts
def test_types_services_and_keys_are_those_that_upstream_was_seen_to_use(sent: list[UpstreamMessage]) -> None:
    seen = {address(line["topic"], line["key"], line["value"]) for line in recorded()}
    generated = {
        address(topic, None if key is None else key.decode(), json.loads(value))
        for topic, key, value in records(sent)
    }
    assert generated == seen


def recorded() -> Iterator[dict[str, Any]]:
    """Yield the recorded good messages of the topics that RAS reads."""
    for path in sorted((SHARED / "upstream-messages").glob("*.jsonl")):
        if path.stem != "malformed":
            lines = map(json.loads, path.read_text().splitlines())
            yield from (line for line in lines if line["topic"] in topics.INPUT_TOPICS)


def shape(value: object, path: str = "") -> set[str]:
    """Return every path in a JSON value with the type that stands there."""
    if isinstance(value, dict):
        inner = (shape(part, f"{path}.{name}") for name, part in value.items())
        return {f"{path}:{','.join(value)}"}.union(*inner)
    if isinstance(value, list):
        return {f"{path}:list"}.union(*(shape(part, f"{path}[]") for part in value))
    return {f"{path}:{type(value).__name__}"}


def address(topic: str, key: str | None, envelope: dict[str, Any]) -> tuple[str, str, str, str | None]:
    """Return how a message is addressed, its key by the name of the field that it repeats."""
    if key is None:
        return topic, envelope["event_type"], envelope["source_service"], None
    data = envelope["data"]
    names = ("essay_id", "cj_assessment_job_id", "entity_id", "batch_id")
    repeated = next(name for name in names if data.get(name) == key)
    return topic, envelope["event_type"], envelope["source_service"], repeated
