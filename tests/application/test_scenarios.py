"""Whole streams of upstream's messages, through translation and the aggregates, against what must come out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from application.topics import INPUT_TOPICS
from application.translate import Rejection, translate
from application.translated_messages import TranslatedMessage
from domain.batch import BatchAggregate, batch_id_of
from domain.batch_events import BatchAssessmentCompleted, BatchResultsReady
from domain.dead_letters import Reason
from domain.parking import ParkableStream
from tests.support.deciding import batches_among, decide
from tests.support.upstream import RECEIVED_AT, SCENARIO_NAMES, StreamLine, expectations, scenario

CLIENT_STATUS = {
    "completed_successfully": "completed_successfully",
    "completed_with_failures": "completed_with_failures",
    "failed_critically": "failed",
}
"""What clients of the status route are told, by batch status; as far as the scenarios go."""

DECIDED = {
    "m04": Reason.NO_VALUE,
    "m11": None,
    "m17": Reason.CONTRACT_VIOLATION,
    "m19": Reason.CONTRACT_VIOLATION,
    "m32": Reason.CONTRACT_VIOLATION,
    "m35": Reason.CONTRACT_VIOLATION,
    "m36": None,
    "m37": Reason.CONTRACT_VIOLATION,
    "m40": None,
    "m41": Reason.NOT_STORABLE,
    "m42": Reason.NOT_JSON,
    "m43": Reason.CONTRACT_VIOLATION,
}
"""What this service makes of the malformed messages that the contract leaves open; None: it takes them."""

ALL_BATCHES = [
    pytest.param(name, batch_id, id=f"{name}-{expected['label']}")
    for name in SCENARIO_NAMES
    for batch_id, expected in expectations(name).get("batches", {}).items()
]


@dataclass
class Played:
    """What became of a stream: the aggregates, the announcements by line, the messages refused by line."""

    aggregates: dict[str, ParkableStream] = field(default_factory=dict)
    ready: dict[str, list[tuple[int, BatchResultsReady]]] = field(default_factory=dict)
    ranked: dict[str, list[tuple[int, BatchAssessmentCompleted]]] = field(default_factory=dict)
    refused: dict[int, Rejection] = field(default_factory=dict)

    @property
    def batches(self) -> dict[str, BatchAggregate]:
        """The batches by their ids."""
        return batches_among(self.aggregates)

    def hear(self, line: StreamLine) -> None:
        """Take in one message."""
        read = translate(line.message, received_at=RECEIVED_AT)
        if isinstance(read, Rejection):
            self.refused[line.number] = read
            return
        for event in decide(read, self.aggregates):
            if isinstance(event, BatchResultsReady):
                self.ready.setdefault(batch_id_of(event.originator_id), []).append((line.number, event))
            if isinstance(event, BatchAssessmentCompleted):
                self.ranked.setdefault(batch_id_of(event.originator_id), []).append((line.number, event))


def play(lines: Iterable[StreamLine]) -> Played:
    """Take in a stream, leaving out topics that this part of the service does not read."""
    played = Played()
    for line in lines:
        if line.message.topic in INPUT_TOPICS:
            played.hear(line)
    return played


@pytest.fixture(scope="module")
def streams() -> dict[str, Played]:
    """Every scenario, played once."""
    return {name: play(scenario(name)) for name in SCENARIO_NAMES}


def test_every_scenario_is_here() -> None:
    assert len(SCENARIO_NAMES) == 11
    assert len(ALL_BATCHES) == 25


@pytest.mark.parametrize(("name", "batch_id"), ALL_BATCHES)
def test_results_are_ready_once_and_by_the_message_that_completed_them(
    streams: dict[str, Played], name: str, batch_id: str
) -> None:
    batch_expectations = expectations(name)["batches"][batch_id]
    expected = batch_expectations["results_ready"]
    announced = streams[name].ready.get(batch_id, [])

    assert len(announced) == expected["count"]
    for line, event in announced:
        assert event.revision == 1
        assert event.user_id == batch_expectations["user_id"]
        assert event.overall_status in expected["overall_status_one_of"]
        assert event.total_essays == batch_expectations["total_essays"]
        assert event.completed_essays == expected.get("completed_essays", event.completed_essays)
        if expected.get("line_completing") is not None:
            assert line == expected["line_completing"]


@pytest.mark.parametrize(("name", "batch_id"), ALL_BATCHES)
def test_each_phase_is_counted_essay_by_essay(streams: dict[str, Played], name: str, batch_id: str) -> None:
    expected = expectations(name)["batches"][batch_id]["results_ready"]

    for _, event in streams[name].ready.get(batch_id, []):
        results = {result.phase: result for result in event.phase_results}
        for phase in ("spellcheck", "cj_assessment"):
            for attribute, value in expected.get(phase, {}).items():
                assert getattr(results[phase], attribute) == value


@pytest.mark.parametrize(("name", "batch_id"), ALL_BATCHES)
def test_the_ranking_is_announced_once_with_upstreams_ranks_and_scores(
    streams: dict[str, Played], name: str, batch_id: str
) -> None:
    batch_expectations = expectations(name)["batches"][batch_id]
    expected = batch_expectations["assessment_completed"]
    announced = streams[name].ranked.get(batch_id, [])

    assert len(announced) == expected["count"]
    assert [event.job_id for _, event in announced] == expected["assessment_job_ids"]
    for _, event in announced:
        assert len(event.rankings) == expected["rankings_count"]
        essays = batch_expectations["rest"]["essays"]
        ranks = {
            essay: (e["cj_rank"], e["cj_score"]) for essay, e in essays.items() if e["cj_rank"] is not None
        }
        assert {line.essay_id: (line.rank, line.score) for line in event.rankings} == ranks


@pytest.mark.parametrize(("name", "batch_id"), ALL_BATCHES)
def test_the_batch_ends_as_its_readers_are_to_be_told(
    streams: dict[str, Played], name: str, batch_id: str
) -> None:
    rest = expectations(name)["batches"][batch_id]["rest"]
    batch = streams[name].batches[batch_id]
    total, completed, failed = batch.counts

    assert total == rest["essay_count"]
    assert completed == rest.get("completed_essay_count", completed)
    assert failed == rest.get("failed_essay_count", failed)
    status = batch.overall_status
    assert (CLIENT_STATUS[status] if status else None) == rest["overall_status"]


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_nothing_is_announced_of_any_other_batch(streams: dict[str, Played], name: str) -> None:
    known = set(expectations(name).get("batches", {}))

    assert streams[name].ready.keys() <= known
    assert streams[name].ranked.keys() <= known


@pytest.mark.parametrize("name", [name for name in SCENARIO_NAMES if name != "malformed"])
def test_no_well_formed_message_is_refused(streams: dict[str, Played], name: str) -> None:
    assert streams[name].refused == {}


@pytest.mark.parametrize("name", SCENARIO_NAMES)
def test_the_stream_backwards_and_twice_ends_alike(streams: dict[str, Played], name: str) -> None:
    lines = list(scenario(name))
    backwards = play([*reversed(lines), *lines])

    for batch_id, batch in streams[name].batches.items():
        other = backwards.batches[batch_id]
        assert (other.overall_status, other.counts) == (batch.overall_status, batch.counts)
        if batch.overall_status is not None:
            assert backwards.ready[batch_id][-1][1].overall_status is batch.overall_status
    for batch_id, ranked in streams[name].ranked.items():
        assert backwards.ranked[batch_id][-1][1].rankings == ranked[-1][1].rankings


# Malformed messages.

MALFORMED = expectations("malformed")
CASES = {line.case: line for line in scenario("malformed") if line.case}


@pytest.mark.parametrize("case", MALFORMED["cases"])
def test_a_malformed_message_ends_as_documented(case: str) -> None:
    line, must = CASES[case], MALFORMED["cases"][case]["must"]
    assert line.number == MALFORMED["cases"][case]["line"]

    read = translate(line.message, received_at=RECEIVED_AT)

    if must == "dead-letter":
        assert isinstance(read, Rejection)
    elif must == "accept":
        assert isinstance(read, TranslatedMessage)
    else:
        assert (read.reason if isinstance(read, Rejection) else None) == DECIDED[case]


def test_every_open_case_is_decided() -> None:
    left_open = {case for case, c in MALFORMED["cases"].items() if c["must"] == "implementation decides"}

    assert left_open == DECIDED.keys()


def test_only_malformed_messages_are_refused(streams: dict[str, Played]) -> None:
    malformed = {line.number for line in CASES.values()}

    assert streams["malformed"].refused.keys() <= malformed


def test_a_refusal_names_where_the_message_lies(streams: dict[str, Played]) -> None:
    for number, rejection in streams["malformed"].refused.items():
        assert (rejection.causation.partition, rejection.causation.offset) == (0, number)
        assert rejection.causation.received_at == RECEIVED_AT
        assert rejection.detail
