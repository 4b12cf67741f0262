"""Every stream file through the whole of RAS, on real servers, against what must come out of it.

The files are played once for all tests, one message at a time: the next is sent when the one before is
ingested. So the messages are read in the order of the file, as the expectations want it, although Kafka
itself keeps no order between partitions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest

from application.intake_positions import intake_position
from application.topics import (
    ANNOUNCEMENT_TOPICS,
    BATCH_ASSESSMENT_COMPLETED,
    BATCH_RESULTS_READY,
    INPUT_TOPICS,
    TEACHER_NOTIFICATION_REQUESTED,
)
from domain.assessment_events import JudgeDecisionFailed, JudgeDecisionRecorded, Side
from domain.batch import batch_id_of
from domain.batch_events import BatchResultsReady
from infrastructure.postgres.schema import initialise
from tests.application.test_scenarios import DECIDED
from tests.support.accounts import (
    check_published_once,
    check_taken_in_once,
    recorded_events,
    wait_until_settled,
)
from tests.support.kafka_choice import Broker
from tests.support.postgres_probe import PostgresProbe, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import Installation
from tests.support.topics import Coordinates, Record, Sender, Topics
from tests.support.upstream import SCENARIO_NAMES, expectations, scenario
from tests.support.waiting import wait_until

_SCHEMAS: Final = Path(__file__).parents[1] / "contracts" / "schemas"
_TERMINAL: Final = {"completed_successfully", "completed_with_failures", "failed", "cancelled"}
_PRIORITIES: Final = {"batch_results_ready": "high", "batch_assessment_completed": "standard"}

_EXPECTED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    batch_id: (name, expected)
    for name in SCENARIO_NAMES
    for batch_id, expected in expectations(name).get("batches", {}).items()
}
ALL_BATCHES: Final = [
    pytest.param(batch_id, id=f"{name}-{expected['label']}")
    for batch_id, (name, expected) in _EXPECTED.items()
]


@dataclass(frozen=True)
class Outcome:
    """What came of all stream files together."""

    places: Mapping[tuple[str, int], Coordinates]
    """Where each line (file, number) lies in Kafka."""

    records: Mapping[str, list[Record]]
    """What readers of committed records see, by batch."""

    statuses: Mapping[str, dict[str, Any]]
    """What the API says of each batch."""

    completed_by: Mapping[str, list[Coordinates]]
    """The messages that made each batch ready."""

    answers: Sequence[JudgeDecisionRecorded | JudgeDecisionFailed]
    """What is recorded of judges' answers, in the order of the log."""

    letters: Mapping[Coordinates, str]
    """The reasons of the dead letters, by the message put aside."""

    def of(self, batch_id: str, topic: str) -> list[dict[str, Any]]:
        """Return the data of all records of one batch in one topic."""
        return [r.envelope["data"] for r in self.records.get(batch_id, ()) if r.topic == topic]


@pytest.fixture(scope="module")
def outcome(
    kafka_server: Broker, postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    """All stream files, played on all roles of RAS."""
    topics = Topics(kafka_server.bootstrap_servers)
    topics.renew()
    folder = tmp_path_factory.mktemp("scenarios")
    with fresh_database(postgres_server.url) as database_url:
        initialise(database_url)
        with (
            probe(database_url) as store,
            Installation(database_url, topics.bootstrap_servers, folder) as ras,
        ):
            *_, api = (
                ras.start(name).wait_until_ready() for name in ("ingest", "publish", "project", "serve")
            )
            places = _play(topics, store)
            wait_until_settled(store, topics, ras.transactional_id)
            check_taken_in_once(store, topics, list(places.values()))
            check_published_once(store, topics, ras.transactional_id)
            records: dict[str, list[Record]] = {}
            for record in topics.read(ANNOUNCEMENT_TOPICS):
                records.setdefault(record.envelope["data"]["batch_id"], []).append(record)
            completed_by: dict[str, list[Coordinates]] = {}
            answers = []
            for event in recorded_events(store):
                if isinstance(event, JudgeDecisionRecorded | JudgeDecisionFailed):
                    answers.append(event)
                if isinstance(event, BatchResultsReady):
                    cause = event.causation
                    place = Coordinates(cause.topic, cause.partition, cause.offset)
                    completed_by.setdefault(batch_id_of(event.originator_id), []).append(place)
            yield Outcome(
                places=places,
                records=records,
                statuses={b: ras.get(api, f"/batches/{b}/status").json() for b in _EXPECTED},
                completed_by=completed_by,
                answers=answers,
                letters={
                    Coordinates(topic, partition, offset): reason
                    for topic, partition, offset, reason in store.rows(
                        'SELECT topic, partition, "offset", reason FROM ras_dead_letters.letters'
                    )
                },
            )


def _play(topics: Topics, store: PostgresProbe) -> dict[tuple[str, int], Coordinates]:
    places: dict[tuple[str, int], Coordinates] = {}
    with Sender(topics.bootstrap_servers) as sender:
        for name in SCENARIO_NAMES:
            for line in scenario(name):
                if line.message.topic not in INPUT_TOPICS:
                    continue
                [at] = sender.send([line.message])
                places[name, line.number] = at
                wait_until(
                    lambda at=at: _position(store, at) >= at.offset,  # type: ignore[misc]
                    what=f"{name}, line {line.number}, is ingested",
                    state=lambda at=at: _position(store, at),  # type: ignore[misc]
                )
    return places


def _position(store: PostgresProbe, at: Coordinates) -> int:
    query = "SELECT coalesce(max(position), -1) FROM ras.positions WHERE name = %s"
    return int(store.value(query, intake_position(at.topic, at.partition)))


@pytest.mark.parametrize("batch_id", ALL_BATCHES)
def test_results_are_ready_as_often_and_as_late_as_they_should(outcome: Outcome, batch_id: str) -> None:
    name, batch = _EXPECTED[batch_id]
    expected = batch["results_ready"]
    announced = outcome.of(batch_id, BATCH_RESULTS_READY)

    assert len(announced) == expected["count"]
    if expected["count"] and expected.get("line_completing"):
        assert outcome.completed_by[batch_id] == [outcome.places[name, expected["line_completing"]]]
    for data in announced:
        assert data["user_id"] == batch["user_id"]
        assert data["status"] == data["overall_status"]
        assert data["overall_status"] in expected["overall_status_one_of"]
        assert data["total_essays"] == batch["total_essays"]
        assert data["completed_essays"] == expected.get("completed_essays", data["completed_essays"])
        for phase in ("spellcheck", "cj_assessment"):
            said = data["phase_results"].get(phase, {})
            assert {key: said.get(key) for key in expected.get(phase, {})} == expected.get(phase, {})


@pytest.mark.parametrize("batch_id", ALL_BATCHES)
def test_the_ranking_is_announced_without_anchors_and_with_upstreams_ranks(
    outcome: Outcome, batch_id: str
) -> None:
    _, batch = _EXPECTED[batch_id]
    expected = batch["assessment_completed"]
    announced = outcome.of(batch_id, BATCH_ASSESSMENT_COMPLETED)

    assert [data["assessment_job_id"] for data in announced] == expected["assessment_job_ids"]
    for data in announced:
        ranks = {line["essay_id"]: (line["rank"], line["score"]) for line in data["rankings_summary"]}
        assert len(ranks) == len(data["rankings_summary"]) == expected["rankings_count"]
        essays = batch["rest"]["essays"].items()
        assert ranks == {key: (e["cj_rank"], e["cj_score"]) for key, e in essays if e["cj_rank"] is not None}


@pytest.mark.parametrize("batch_id", ALL_BATCHES)
def test_the_teacher_is_notified_once_of_each_announcement(outcome: Outcome, batch_id: str) -> None:
    _, batch = _EXPECTED[batch_id]
    sent = outcome.of(batch_id, TEACHER_NOTIFICATION_REQUESTED)
    kinds = [data["notification_type"] for data in sent]

    assert {kind: kinds.count(kind) for kind in _PRIORITIES} == batch["notifications"]
    for data in sent:
        assert data["teacher_id"] == batch["user_id"]
        if data["notification_type"] == "batch_status_updated":
            assert (data["category"], data["priority"]) == ("batch_progress", "standard")
            continue
        assert data["priority"] == _PRIORITIES[data["notification_type"]]
        assert (data["category"], data["action_required"]) == ("processing_results", False)
        assert data["payload"]["batch_id"] == batch_id


@pytest.mark.parametrize(
    "topic", [BATCH_RESULTS_READY, BATCH_ASSESSMENT_COMPLETED, TEACHER_NOTIFICATION_REQUESTED]
)
def test_every_record_keeps_the_contract(outcome: Outcome, topic: str) -> None:
    schema = json.loads((_SCHEMAS / f"{topic}.schema.json").read_bytes())
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    records = [r for of_batch in outcome.records.values() for r in of_batch if r.topic == topic]
    assert records

    for record in records:
        envelope = record.envelope
        validator.validate(envelope)
        assert (envelope["event_type"], envelope["source_service"]) == (topic, "result_aggregator_service")
        key = "teacher_id" if topic == TEACHER_NOTIFICATION_REQUESTED else "batch_id"
        assert (record.key or b"").decode() == envelope["data"][key]
        for header in ("event_id", "event_type", "source_service"):
            assert record.headers[header] == envelope[header]
        assert record.headers["trace_id"] == envelope["correlation_id"]


@pytest.mark.parametrize("batch_id", ALL_BATCHES)
def test_the_api_tells_how_the_batch_and_each_essay_stand(outcome: Outcome, batch_id: str) -> None:
    _, batch = _EXPECTED[batch_id]
    expected = dict(batch["rest"])
    status = outcome.statuses[batch_id]
    jsonschema_rs.Draft202012Validator(
        json.loads((_SCHEMAS / "rest-batch-status.schema.json").read_bytes())
    ).validate(status)

    overall_status, essays = expected.pop("overall_status"), expected.pop("essays")
    if overall_status is None:
        assert status["overall_status"] not in _TERMINAL
    else:
        assert status["overall_status"] == overall_status
    assert {key: status[key] for key in expected} == expected
    assert status["user_id"] == batch["user_id"]
    told = {essay["essay_id"]: essay for essay in status["essays"]}
    assert {key: {name: told[key][name] for name in essay} for key, essay in essays.items()} == essays
    assert told.keys() == essays.keys()


def test_each_judge_is_heard_once_and_nothing_is_said_of_it(outcome: Outcome) -> None:
    expected = expectations("comparisons-120")
    decided = [answer for answer in outcome.answers if isinstance(answer, JudgeDecisionRecorded)]

    assert {answer.originator_id for answer in outcome.answers} == {f"assessment-{expected['cj_batch_id']}"}
    assert [answer.originator_version for answer in outcome.answers] == list(range(1, 109))
    assert len({answer.request_id for answer in outcome.answers}) == expected["distinct_request_ids"] == 108
    assert (len(decided), len(outcome.answers) - len(decided)) == (expected["successes"], expected["errors"])
    won = Counter(d.essay_a_id if d.winner is Side.A else d.essay_b_id for d in decided)
    lost = Counter(d.essay_b_id if d.winner is Side.A else d.essay_a_id for d in decided)
    assert (won, lost) == (expected["wins"], expected["losses"])
    assert expected["bos_batch_id"] not in outcome.records


def test_nothing_is_said_of_any_other_batch(outcome: Outcome) -> None:
    assert outcome.records.keys() <= _EXPECTED.keys()


def test_each_malformed_message_ends_as_documented_and_no_other_is_refused(outcome: Outcome) -> None:
    cases = expectations("malformed")["cases"]
    for case, expected in cases.items():
        reason = outcome.letters.get(outcome.places["malformed", expected["line"]])
        if expected["must"] == "implementation decides":
            assert (case, reason) == (case, DECIDED[case])
        else:
            assert (case, reason is not None) == (case, expected["must"] == "dead-letter")
    malformed = {outcome.places["malformed", expected["line"]] for expected in cases.values()}
    assert outcome.letters.keys() <= malformed
