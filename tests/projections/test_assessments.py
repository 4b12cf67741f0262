"""Read model of comparative-judgement jobs: the results, each decision, and the matrix they add up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from domain.aggregate import DomainEvent
from domain.assessment_events import JudgeDecisionFailed, JudgeDecisionRecorded, Side
from projections.assessments import assessment_results, assessments, comparison_matrix, jobs, judge_decisions
from projections.recorded import Recorded
from tests.support.examples import examples
from tests.support.given import caused_by, minute
from tests.support.judging import Job
from tests.support.projecting import Chain, connected, stream_file
from tests.support.read_models import emptied, numbered, project, rows
from tests.support.upstream import SCENARIOS, expectations

Matrix = dict[tuple[str, str], tuple[int, int]]


def project_events(
    connection: Connection, *events: DomainEvent, cuts: AbstractSet[int] = frozenset()
) -> None:
    """Give the events to the projection, as the whole log, cut into batches before the places `cuts`."""
    project(connection, numbered(events), cuts=cuts, projections=[assessments])


def matrix(connection: Connection, job_id: str = "164") -> Matrix:
    """Return (times judged, won by the first) per pair."""
    return {
        (row["item_a"], row["item_b"]): (row["judged"], row["a_wins"])
        for row in rows(connection, comparison_matrix)
        if row["job_id"] == job_id
    }


def test_a_decision_is_kept_with_its_provenance(connection: Connection) -> None:
    job = Job()
    project_events(connection, job.decides("e2", "e1", request="r1", winner=Side.B, judge="teacher-0007"))

    [row] = rows(connection, judge_decisions)
    assert row == {
        "job_id": "164",
        "request_id": "r1",
        "batch_id": "b1",
        "essay_a_id": "e1",
        "essay_b_id": "e2",
        "winner": "essay_b",
        "judge": "teacher-0007",
        "provider": "mock",
        "model": "synthetic-model-1",
        "justification": "clearer, and closer to the text",
        "confidence": 2.5,
        "error_code": None,
        "error": None,
        "response_time_ms": 3143,
        "prompt_tokens": 1645,
        "completion_tokens": 100,
        "total_tokens": 1745,
        "cost": 0.0065,
        "requested_at": row["requested_at"],
        "completed_at": minute(1),
        "request_metadata": {"cj_batch_id": "164", "cj_source": "els"},
        "topic": "upstream",
        "partition": 0,
        "offset": 1,
        "event_id": "event-1",
        "correlation_id": None,
        "received_at": caused_by(1).received_at,
        "position": 1,
    }


def test_a_failure_is_kept_and_is_no_decision(connection: Connection) -> None:
    project_events(connection, Job().fails("e1", "e2"))

    [row] = rows(connection, judge_decisions)
    assert (row["winner"], row["error_code"]) == (None, "TIMEOUT")
    assert row["error"]["message"] == "no answer in time"
    assert matrix(connection) == {}


def test_the_matrix_counts_a_pair_whichever_side_a_text_stood_on(connection: Connection) -> None:
    job = Job()
    project_events(
        connection,
        job.decides("e1", "e2"),
        job.decides("e1", "e2", winner=Side.B),
        job.decides("e2", "e1"),
        job.decides("e2", "e3", winner=Side.B),
        Job("165").decides("e1", "e2"),
    )

    assert matrix(connection) == {("e1", "e2"): (3, 2), ("e2", "e3"): (1, 1)}
    assert matrix(connection, "165") == {("e1", "e2"): (1, 1)}


def test_the_items_of_a_pair_are_ordered_by_bytes(connection: Connection) -> None:
    job = Job()
    project_events(connection, job.decides("a", "B"), job.decides("é", "z"), job.decides("10", "9"))

    assert matrix(connection) == {("B", "a"): (1, 0), ("z", "é"): (1, 0), ("10", "9"): (1, 1)}


def test_the_longest_names_that_come_in_can_be_stored(connection: Connection) -> None:
    random = Random(1)  # what repeats would be compressed
    longest = ["".join(chr(random.randrange(0x10000, 0x10FFFF)) for _ in range(255)) for _ in range(4)]
    job_id, request, one, other = longest
    job = Job(job_id[:244], batch_id=request)
    project_events(connection, job.decides(one, other, request=request), job.ends(one, other))

    assert matrix(connection, job_id[:244]).keys() == {(min(one, other), max(one, other))}


def test_names_that_run_into_each_other_are_two_pairs(connection: Connection) -> None:
    job = Job()
    project_events(connection, job.decides("1", "2:3"), job.decides("1", "2:3"), job.decides("12", ":3"))

    assert matrix(connection) == {("1", "2:3"): (2, 2), ("12", ":3"): (1, 1)}


@pytest.mark.parametrize("winner", list(Side))
def test_a_text_against_itself_is_a_pair_of_its_own_and_can_be_taken_back(
    connection: Connection, winner: Side
) -> None:
    job = Job()
    project_events(connection, job.decides("e1", "e1", request="r1", winner=winner))
    assert matrix(connection) == {("e1", "e1"): (1, 1)}

    project_events(connection, job.decides("e1", "e2", request="r1"))
    assert matrix(connection) == {("e1", "e2"): (1, 1)}


@pytest.mark.parametrize("cuts", [set(), {1}])
@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (("e1", "e2"), {("e1", "e2"): (1, 1)}),
        (("e2", "e1"), {("e1", "e2"): (1, 0)}),
        (("e3", "e1"), {("e1", "e3"): (1, 0)}),
        (None, {}),
    ],
    ids=["the same", "the other way", "another pair", "a failure"],
)
def test_a_superseding_answer_moves_the_matrix(
    connection: Connection, second: tuple[str, str] | None, expected: Matrix, cuts: set[int]
) -> None:
    job = Job()
    project_events(
        connection,
        job.decides("e1", "e2", request="r1"),
        job.decides(*second, request="r1") if second else job.fails("e1", "e2", request="r1"),
        cuts=cuts,
    )

    assert matrix(connection) == expected
    assert [row["position"] for row in rows(connection, judge_decisions)] == [2]


def test_a_decision_after_a_failure_counts(connection: Connection) -> None:
    job = Job()
    project_events(
        connection, job.fails("e1", "e2", request="r1"), job.decides("e1", "e2", request="r1"), cuts={1}
    )

    [row] = rows(connection, judge_decisions)
    assert (row["winner"], row["error_code"], row["error"]) == ("essay_a", None, None)
    assert matrix(connection) == {("e1", "e2"): (1, 1)}


def test_a_result_is_kept_as_published_and_the_last_one_stands(connection: Connection) -> None:
    job = Job()
    project_events(connection, job.ends("e1", "ANCHOR_1", at=50), job.ends("e2", at=60, model_version="7"))

    [row] = rows(connection, assessment_results)
    assert [line["essay_id"] for line in row["results"]] == ["e2"]
    assert row["results"][0].keys() >= {"rank", "bt_score", "letter_grade", "is_anchor", "feedback_uri"}
    assert (row["model_version"], row["assessed_at"], row["position"]) == ("7", minute(60), 2)


def test_a_job_knows_its_batch_and_its_newest_event(connection: Connection) -> None:
    unknown = Job(batch_id=None)
    project_events(
        connection, unknown.fails("e1", "e2"), Job().decides("e1", "e2"), unknown.fails("e1", "e2"), cuts={2}
    )

    assert rows(connection, jobs) == [{"job_id": "164", "batch_id": "b1", "position": 3}]


NAMES = st.sampled_from(["e1", "e2", "E3", "ANCHOR_1"])
ANSWERS = st.lists(
    st.tuples(st.sampled_from(["r1", "r2", "r3"]), NAMES, NAMES, st.sampled_from([Side.A, Side.B, None])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=examples(60))
@given(answers=ANSWERS, data=st.data())
def test_the_matrix_is_a_count_of_the_decisions_that_stand(
    read_models_url: str, answers: list[tuple[str, str, str, Side | None]], data: st.DataObject
) -> None:
    cuts = data.draw(st.sets(st.integers(1, len(answers))))
    job = Job()
    events = [
        job.fails(one, other, request=request)
        if winner is None
        else job.decides(one, other, request=request, winner=winner)
        for request, one, other, winner in answers
    ]
    with connected(read_models_url) as connection:
        emptied(connection)
        project(connection, numbered(events), cuts=cuts & set(range(len(events))), projections=[assessments])
        found = matrix(connection)
        connection.rollback()

    assert found == counted(events)


def counted(events: list[Any]) -> Matrix:
    """Count the matrix the plain way."""
    standing: dict[str, JudgeDecisionRecorded | JudgeDecisionFailed] = {e.request_id: e for e in events}
    judged: Counter[tuple[str, str]] = Counter()
    wins: Counter[tuple[str, str]] = Counter()
    for event in standing.values():
        if isinstance(event, JudgeDecisionRecorded):
            pair = min(event.essay_a_id, event.essay_b_id), max(event.essay_a_id, event.essay_b_id)
            judged[pair] += 1
            wins[pair] += pair[0] == (event.essay_a_id if event.winner is Side.A else event.essay_b_id)
    return {pair: (n, wins[pair]) for pair, n in judged.items()}


def test_the_scenario_is_counted_as_expected(database_url: str) -> None:
    expected = expectations("comparisons-120")
    Chain(database_url).take(stream_file(SCENARIOS / "comparisons-120.jsonl"))
    with connected(database_url) as connection:
        found, decisions = matrix(connection, expected["cj_batch_id"]), rows(connection, judge_decisions)
        [job] = rows(connection, jobs)

    wins: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    for (one, other), (judged, one_won) in found.items():
        wins.update({one: one_won, other: judged - one_won})
        losses.update({other: one_won, one: judged - one_won})
    assert {name: n for name, n in wins.items() if n} == {
        name: n for name, n in expected["wins"].items() if n
    }
    assert losses == Counter(expected["losses"])
    assert wins + losses == Counter(expected["appearances"])
    assert len(decisions) == expected["distinct_request_ids"]
    assert sum(row["winner"] is None for row in decisions) == expected["errors"]
    assert (job["batch_id"], job["position"]) == (expected["bos_batch_id"], len(decisions))


def test_statements_do_not_grow_with_the_events() -> None:
    job = Job()
    recorded = [Recorded(n, job.decides("e1", "e2")) for n in range(1, 501)]

    assert len(assessments.statements(recorded)) == 4
