"""A judging job in detail: its items, judges, matrix, decisions and how far to trust them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from application.judging_scores import ANSWER_VERSION
from domain.assessment_events import Side
from domain.values import EssayResult
from tests.support.assessing import PREFIX, Assessors, assessors_on
from tests.support.given import ranked
from tests.support.judging import Job, round_robin
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

ESSAYS = [f"essay-{number:02}" for number in range(1, 9)]
JUDGES = ["teacher-0007", "teacher-0008", "teacher-0009"]


@pytest.fixture(scope="module")
def assessors(postgres_server: PostgresServerUnderTest) -> Iterator[Assessors]:
    """One installation for the module; each test has a job of its own."""
    with fresh_database(postgres_server.url) as url, assessors_on(url) as running:
        yield running


def test_a_finished_job_tells_everything(assessors: Assessors) -> None:
    job = Job("full", "b-full")
    texts = ["ANCHOR_1", *ESSAYS]
    events = [*round_robin(job, texts, JUDGES), job.fails("essay-01", "essay-02"), job.ends(*texts)]
    position = assessors.hear(events)

    body = assessors.detailed("full")

    decisions = len(events) - 2
    assert (body["job_id"], body["batch_id"], body["state"]) == ("full", "b-full", "finished")
    assert body["counts"] == {
        "decisions": decisions,
        "failures": 1,
        "items": 9,
        "anchors": 1,
        "judges": 4,
    }
    assert body["provenance"] == {
        "position": position,
        "method": "bradley-terry",
        "method_version": body["provenance"]["method_version"],
        "answer_version": ANSWER_VERSION,
        "decisions_counted": decisions,
        "decisions_failed": 1,
    }
    assert [item["rank"] for item in body["items"]] == sorted(item["rank"] for item in body["items"])
    for item in body["items"]:
        assert item["lower"] < item["theta"] < item["upper"]
        assert item["upper"] - item["theta"] == pytest.approx(1.96 * item["se"])
        assert item["comparisons"] == 24
        assert item["is_anchor"] == (item["item"] == "ANCHOR_1")
        assert item["published"]["rank"] == texts.index(item["item"]) + 1
    assert sum(item["theta"] for item in body["items"]) == pytest.approx(0)
    assert sum(item["wins"] for item in body["items"]) == decisions
    assert body["components"] == [{"component": 0, "items": [item["item"] for item in body["items"]]}]
    reliability = body["reliability"]
    assert reliability["split_half"].keys() == {"by_judges", "by_decisions"}
    assert len(reliability["growth"]) == 10
    assert reliability["growth"][-1]["ssr"] == reliability["ssr"]
    assert any("Forward test" in note for note in reliability["warnings"] + reliability["notes"])
    assert [item["item"] for item in body["findings"]["items"]] == [item["item"] for item in body["items"]]
    assert all(item["best_rank"] <= item["rank"] <= item["worst_rank"] for item in body["items"])
    assert len(body["next_pairs"]) == 20
    assert body["agreement"]["overall"]["shared_pairs"] == 3 * 36
    assert body["agreement"]["judge_pairs_in_all"] == 3
    assert body["result"]["method"] == "cj_assessment"
    assert [line["essay_id"] for line in body["result"]["results"]] == texts
    assert body["result"]["provenance"]["position"] == position


def test_costs_and_judges_count_failures_too(assessors: Assessors) -> None:
    job = Job("costs")
    assessors.hear(
        [
            job.decides("e1", "e2", cost=0.1),
            job.decides("e2", "e3", cost=0.2, confidence=None),
            job.decides("e1", "e3", judge="teacher-0007", cost=0.0),
            job.fails("e1", "e3", cost=0.7, total_tokens=3, prompt_tokens=2, completion_tokens=1),
        ]
    )

    body = assessors.detailed("costs")

    assert body["costs"] == {
        "usd": 1.0,
        "prompt_tokens": 3 * 1645 + 2,
        "completion_tokens": 301,
        "total_tokens": 3 * 1745 + 3,
    }
    judges = {judge["judge"]: judge for judge in body["judges"]}
    assert judges.keys() == {"mock/synthetic-model-1", "mock/unknown", "teacher-0007"}
    model, failing = judges["mock/synthetic-model-1"], judges["mock/unknown"]
    assert (model["decisions"], model["failures"], model["mean_confidence"]) == (2, 0, 2.5)
    assert model["costs"]["usd"] == 0.3
    assert (failing["decisions"], failing["failures"], failing["infit"]) == (0, 1, None)


def test_costs_beyond_all_numbers_are_no_fault_of_ours(assessors: Assessors) -> None:
    job = Job("beyond")
    assessors.hear([job.decides("e1", "e2", cost=1.7e308), job.decides("e1", "e2", cost=1.7e308)])

    assert assessors.detailed("beyond")["costs"]["usd"] is None


def test_a_running_job_answers_with_what_is_known_and_says_so(assessors: Assessors) -> None:
    job = Job("running")
    assessors.hear([job.decides("e1", "e2"), job.decides("e2", "ANCHOR_9")])

    body = assessors.detailed("running")

    assert (body["state"], body["result"]) == ("running", None)
    assert body["reliability"]["warnings"][0].startswith("The job has no result yet")
    assert [item["is_anchor"] for item in body["items"] if item["item"] == "ANCHOR_9"] == [True]
    assert all(item["published"] is None for item in body["items"])
    assert any("3 of 3 texts had fewer than 10 comparisons" in w for w in body["reliability"]["warnings"])


def test_groups_without_a_link_are_named_and_share_no_scale(assessors: Assessors) -> None:
    job = Job("apart")
    assessors.hear([job.decides("a1", "a2"), job.decides("a2", "a3"), job.decides("b1", "b2")])

    body = assessors.detailed("apart")

    assert body["components"] == [
        {"component": 0, "items": ["a1", "a2", "a3"]},
        {"component": 1, "items": ["b1", "b2"]},
    ]
    assert [item["rank"] for item in body["items"]] == [1, 2, 3, 1, 2]
    assert (body["reliability"]["ssr"], body["reliability"]["separation_g"]) == (None, None)
    assert len(body["reliability"]["components"]) == 2
    assert any("no ranking across groups" in warning for warning in body["reliability"]["warnings"])
    assert body["next_pairs"][0]["expected_reduction"] is None


def test_equal_scores_share_a_rank(assessors: Assessors) -> None:
    job = Job("equal")
    assessors.hear(
        [job.decides("e1", "e2"), job.decides("e2", "e1"), job.decides("e1", "e3"), job.decides("e2", "e3")]
    )

    assert [item["rank"] for item in assessors.detailed("equal")["items"]] == [1, 1, 3]


def test_a_result_without_any_decision_is_told(assessors: Assessors) -> None:
    assessors.hear([Job("only-result").ends("e2", ranked("anchor-in-disguise", 2, is_anchor=True), "e1")])

    body = assessors.detailed("only-result")

    assert (body["state"], body["counts"]["decisions"], body["counts"]["anchors"]) == ("finished", 0, 1)
    assert [(item["item"], item["theta"], item["is_anchor"]) for item in body["items"]] == [
        ("e2", None, False),
        ("anchor-in-disguise", None, True),
        ("e1", None, False),
    ]
    assert body["items"][0]["published"]["letter_grade"] == "B"
    assert (body["agreement"], body["next_pairs"], body["decisions"]) == (None, [], [])
    assert body["matrix"] == {"items": [], "pairs": []}
    assert body["reliability"]["warnings"] == ["No decision is known, so there are no scores."]


def test_a_job_that_only_failed_is_told(assessors: Assessors) -> None:
    job = Job("only-failures")
    assessors.hear([job.fails("e1", "e2"), job.fails("e1", "e3")])

    body = assessors.detailed("only-failures")

    assert body["counts"] == {"decisions": 0, "failures": 2, "items": 0, "anchors": 0, "judges": 1}
    assert [decision["outcome"] for decision in body["decisions"]] == ["failed", "failed"]
    assert body["decisions"][0]["error"]["message"] == "no answer in time"


def test_one_decision_is_enough_for_an_answer(assessors: Assessors) -> None:
    assessors.hear([Job("one").decides("e1", "e2")])

    body = assessors.detailed("one")

    assert [item["item"] for item in body["items"]] == ["e1", "e2"]
    assert body["matrix"] == {"items": ["e1", "e2"], "pairs": [[0, 1, 1, 1]]}


def test_a_text_against_itself_is_told(assessors: Assessors) -> None:
    job = Job("itself")
    assessors.hear([job.decides("e1", "e1"), job.decides("e1", "e2", winner=Side.B)])

    body = assessors.detailed("itself")

    assert body["matrix"]["pairs"] == [[0, 0, 1, 1], [0, 1, 1, 1]]
    assert any("itself" in warning for warning in body["reliability"]["warnings"])


def test_a_superseded_answer_is_nowhere(assessors: Assessors) -> None:
    job = Job("superseded")
    assessors.hear([job.decides("e1", "e2", request="r1"), job.decides("e2", "e3")])
    before = assessors.detailed("superseded")
    assessors.hear([job.decides("e2", "e1", request="r1")])

    body = assessors.detailed("superseded")

    assert before["matrix"]["pairs"][0] == [0, 1, 1, 1]
    assert body["matrix"]["pairs"][0] == [0, 1, 1, 0]
    assert body["items"][0]["item"] == "e2"
    assert [decision["request_id"] for decision in body["decisions"]] == ["request-00002", "r1"]


def test_decisions_are_paged_in_the_order_of_the_log(assessors: Assessors) -> None:
    job = Job("paged")
    assessors.hear(
        [*round_robin(job, ESSAYS, JUDGES[:1]), job.fails("essay-01", "essay-02"), job.ends(*ESSAYS)]
    )
    pages = [assessors.detailed("paged", "?limit=12")]
    while pages[-1]["next_cursor"] is not None:
        pages.append(assessors.detailed("paged", f"?limit=12&cursor={pages[-1]['next_cursor']}"))

    requests = [decision["request_id"] for page in pages for decision in page["decisions"]]
    assert requests == [f"request-{number:05}" for number in range(1, 30)]
    assert [len(page["decisions"]) for page in pages] == [12, 12, 5]
    assert "items" in pages[0]
    for page in pages[1:]:
        assert page.keys() == {"job_id", "batch_id", "state", "provenance", "decisions", "next_cursor"}
        assert page["provenance"]["position"] == pages[0]["provenance"]["position"]
        assert page["state"] == "finished"
    assert requests == [
        decision["request_id"] for decision in assessors.detailed("paged", "?limit=29")["decisions"]
    ]


@pytest.mark.parametrize(("outcome", "count"), [("decided", 2), ("failed", 1)])
def test_decisions_of_one_outcome_can_be_asked_for(assessors: Assessors, outcome: str, count: int) -> None:
    job = Job(f"outcome-{outcome}")
    assessors.hear([job.decides("e1", "e2"), job.fails("e1", "e2"), job.decides("e1", "e3")])

    body = assessors.detailed(job.job_id, f"?outcome={outcome}")

    assert [decision["outcome"] for decision in body["decisions"]] == [outcome] * count
    assert body["counts"]["decisions"] == 2


def test_a_decision_is_told_with_its_provenance(assessors: Assessors) -> None:
    position = assessors.hear([Job("provenance").decides("e1", "e2", winner=Side.B)])

    [decision] = assessors.detailed("provenance")["decisions"]

    assert decision["winner"] == "essay_b"
    assert (decision["essay_a_id"], decision["essay_b_id"]) == ("e2", "e1")
    assert decision["judge"] == "mock/synthetic-model-1"
    assert decision["completed_at"] == "2026-03-07T08:01:00.000000Z"
    assert decision["request_metadata"] == {"cj_batch_id": "provenance", "cj_source": "els"}
    assert decision["provenance"] == {
        "position": position,
        "topic": "upstream",
        "partition": 0,
        "offset": 1,
        "event_id": "event-1",
        "correlation_id": None,
        "received_at": "2026-03-07T18:00:00.000000Z",
    }


def test_numbers_beyond_64_bits_keep_their_digits(assessors: Assessors) -> None:
    job = Job("huge")
    assessors.hear([job.fails("e1", "e2", error={"id": 2**70}), job.ends("e1", metadata={"seed": 10**30})])

    answer = assessors.api.get(f"{PREFIX}/huge/detailed")

    assert str(2**70) in answer.text
    assert str(10**30) in answer.text


@pytest.mark.parametrize(
    "path", ["nobody/detailed", "nobody/detailed.csv", "nobody/summary", "nobody/detailed?cursor=1"]
)
def test_what_nobody_knows_is_a_404_problem(assessors: Assessors, path: str) -> None:
    answer = assessors.api.get(f"{PREFIX}/{path}")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("No judging job of this")


@pytest.mark.parametrize(
    "query",
    ["?cursor=x", "?outcome=maybe", "?cursor=-1"],
)
def test_what_makes_no_sense_is_a_400_problem(assessors: Assessors, query: str) -> None:
    assessors.hear([Job("asked-badly").decides("e1", "e2")])

    assert assessors.api.get(f"{PREFIX}/asked-badly/detailed{query}").status_code == 400
    assert assessors.api.get(f"{PREFIX}/asked-badly/detailed.csv?table=nonsense").status_code == 400


def test_only_known_services_with_the_key_are_answered(assessors: Assessors) -> None:
    assessors.hear([Job("guarded").decides("e1", "e2")])
    path = f"{PREFIX}/guarded/detailed"

    assert assessors.api.get(path, service="result_aggregator_service").status_code == 200
    assert assessors.api.get(path, service="somebody").status_code == 403
    assert assessors.api.send("GET", path).status_code == 401
    assert assessors.api.get(path, X_Correlation_ID="c-1").headers["X-Correlation-ID"] == "c-1"
    assert assessors.api.send("GET", "/healthz/ready").json()["status"] == "ok"
    assert assessors.api.send("GET", "/docs").status_code == 200


def test_a_what_if_is_answered_beside_the_usual_answer(assessors: Assessors) -> None:
    job = Job("what-if", "b-what-if")
    assessors.hear([*round_robin(job, ESSAYS, JUDGES), job.ends(*ESSAYS)])
    whole = assessors.detailed("what-if")
    query = "?without_judge=teacher-0007&without_judge=teacher-0008&without_item=essay-01&random_share=0"
    body = assessors.detailed("what-if", query)
    assert whole["what_if"] is None
    assert (body["what_if"]["decisions_before"], body["what_if"]["decisions_after"]) == (84, 21)
    assert len(body["items"]) == 8
    assert {pair["reason"] for pair in body["next_pairs"]} == {"information"}
    assert whole["published_comparison"]["items"] == 8
    assert whole["published_comparison"]["rank_correlation"] > 0.5
    assert assessors.detailed("what-if") == whole


def test_scores_come_on_a_scale_with_a_standard_where_that_is_asked_for(assessors: Assessors) -> None:
    job = Job("scaled", "b-scaled")
    assessors.hear([*round_robin(job, ESSAYS, JUDGES), job.ends(*ESSAYS)])
    plain = assessors.detailed("scaled")
    assert plain["scaled"] is None
    standard = plain["items"][2]["item"]

    body = assessors.detailed("scaled", f"?scale=0-100&standard={standard}")

    scaled = body["scaled"]
    assert (scaled["items"][0]["scaled"], scaled["items"][-1]["scaled"]) == (100, 0)
    assert [item["meets_standard"] for item in scaled["items"][:4]] == [True, True, True, False]
    assert scaled["boundaries"] == []
    assert body["items"] == plain["items"]


def test_grades_come_from_the_anchors_beside_the_published_ones(assessors: Assessors) -> None:
    job = Job("graded", "b-graded")
    order = [*ESSAYS]
    results = [
        EssayResult(
            essay_id=name,
            rank=rank,
            bt_score=0.0,
            normalized_score=0.5,
            letter_grade=grade,
            confidence_score=0.5,
            confidence_label="MID",
            is_anchor=grade in ("A", "F"),
        )
        for rank, (name, grade) in enumerate(
            zip(order, ["A", *["C"] * (len(order) - 2), "F"], strict=True), start=1
        )
    ]
    assessors.hear([*round_robin(job, ESSAYS, JUDGES), job.ends(*results)])

    body = assessors.detailed("graded", "?grades=true&grade_order=F,C,A")

    [boundary] = body["scaled"]["boundaries"]
    assert (boundary["below"], boundary["above"]) == ("F", "A")
    assert {item["grade"] for item in body["scaled"]["items"]} <= {"A", "F", None}
    assert {item["published"]["letter_grade"] for item in body["items"]} == {"A", "C", "F"}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("without_judge=nobody", "There is no judge 'nobody'; there are teacher-0007"),
        ("last=0", "last must be a whole number from 1"),
        ("first=999", "No decision is left"),
        ("epsilon=0.5", "epsilon must be a number from 0.001 to 0.499"),
        ("prior_sd=nan", "prior_sd must be a number"),
        ("scale=high", "The scale 'high' is neither LOW-HIGH such as 0-100"),
        ("standard=nobody", "There is no text 'nobody' to be the standard"),
        ("grades=true", "Boundaries need anchors of two grades or more"),
    ],
)
def test_a_what_if_that_cannot_be_answered_is_refused(assessors: Assessors, query: str, reason: str) -> None:
    job = Job(f"refused-{query[:4]}", f"b-refused-{query[:4]}")
    assessors.hear([*round_robin(job, ESSAYS, JUDGES), job.ends(*ESSAYS)])
    answer = assessors.api.get(f"{PREFIX}/{job.job_id}/detailed?{query}")
    assert answer.status_code == 400
    assert reason in answer.json()["detail"]
