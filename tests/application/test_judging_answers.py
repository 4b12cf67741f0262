"""What is said of a judging job is a function of its facts."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.assessments import Asked, JobFacts, PairCount
from application.judging_answers import detailed, summarised
from application.judging_scores import Wanted
from domain.comparison_graph import JudgingDataError
from domain.what_if import Change
from tests.support.examples import examples

TEXTS = ("e1", "e2", "e3", "e4", "ANCHOR_1")
JUDGES = ("teacher-0007", "mock/synthetic-model-1")


def asked(judge: str, one: str, other: str, *, chosen: bool | None = True, cost: float = 0.0065) -> Asked:
    """Return a request that took a little of everything."""
    return Asked(judge, one, other, chosen, None if chosen is None else 2.5, cost, 10, 2, 12, 100)


def job(*requests: Asked) -> JobFacts:
    """Return a running job."""
    return JobFacts(job_id="164", batch_id="b1", position=7, result=None, asked=requests)


REQUESTS = st.lists(
    st.builds(
        asked,
        st.sampled_from(JUDGES),
        st.sampled_from(TEXTS),
        st.sampled_from(TEXTS),
        chosen=st.sampled_from([True, False, None]),
        cost=st.floats(0, 1),
    ),
    max_size=40,
)


def without_order(body: Any) -> Any:
    """Leave out what is about the order of the decisions: growth, forward test, scores at the time."""
    about_order = ("Forward test", "Pairs were chosen adaptively")
    reliability = body["reliability"]
    reliability.pop("growth", None)
    for kind in ("warnings", "notes"):
        reliability[kind] = [each for each in reliability[kind] if not each.startswith(about_order)]
    if findings := body.get("findings"):
        del findings["forward_test"], findings["adaptivity"]
        findings["notices"] = [n for n in findings["notices"] if not n["text"].startswith(about_order)]
    return body


@settings(max_examples=examples(40))
@given(requests=REQUESTS, seed=st.integers())
def test_the_order_of_the_decisions_changes_only_what_is_about_order(
    requests: list[Asked], seed: int
) -> None:
    shuffled = Random(seed).sample(requests, len(requests))

    assert without_order(summarised(job(*requests))) == without_order(summarised(job(*shuffled)))
    assert without_order(detailed(job(*requests), [])) == without_order(detailed(job(*shuffled), []))


@settings(max_examples=examples(40))
@given(requests=REQUESTS)
def test_everything_adds_up_and_can_be_written(requests: list[Asked]) -> None:
    body = detailed(job(*requests), [])
    summary = summarised(job(*requests))

    decided = [request for request in requests if request.chosen_a is not None]
    assert body["counts"]["decisions"] == len(decided) == sum(j["decisions"] for j in body["judges"])
    assert body["counts"]["failures"] == len(requests) - len(decided)
    assert sum(item["wins"] for item in body["items"]) == len(decided)
    assert sum(item["comparisons"] for item in body["items"]) == 2 * len(decided)
    assert body["costs"]["total_tokens"] == 12 * len(requests)
    assert [line["item"] for line in summary["ranking"]] == [item["item"] for item in body["items"]]
    for written in (orjson.dumps(body), orjson.dumps(summary)):
        assert orjson.loads(written)["provenance"]["position"] == 7


def test_the_matrix_is_told_by_places() -> None:
    pairs = [PairCount("ANCHOR_1", "e1", 3, 1), PairCount("e1", "e1", 1, 1), PairCount("e1", "e4", 2, 2)]

    matrix = detailed(job(asked("teacher-0007", "e1", "e4")), pairs)["matrix"]

    assert matrix == {
        "items": ["ANCHOR_1", "e1", "e4"],
        "pairs": [(0, 1, 3, 1), (1, 1, 1, 1), (1, 2, 2, 2)],
    }


def session(*names: str) -> JobFacts:
    """Return a job in which each judge decides on each pair, the last judge against the others."""
    return job(
        *(
            asked(name, one, other, chosen=name != names[-1])
            for name in names
            for k, one in enumerate(TEXTS)
            for other in TEXTS[k + 1 :]
        )
    )


def test_a_what_if_scores_again_and_shows_what_changes() -> None:
    facts = session("Öberg", "Ask", "Ågren")
    whole = detailed(facts, [])
    body = detailed(facts, [], Wanted(Change(without_judges=("Ågren",))))
    assert whole["what_if"] is None
    assert body["what_if"] is not None
    assert (body["what_if"]["decisions_before"], body["what_if"]["decisions_after"]) == (30, 20)
    assert {line["item"]: line["theta_after"] for line in body["what_if"]["items"]} == {
        item["item"]: item["theta"] for item in body["items"]
    }
    assert body["counts"] == whole["counts"]
    with_prior = detailed(facts, [], Wanted(Change(prior_sd=0.5)))
    assert with_prior["provenance"]["method_version"] != whole["provenance"]["method_version"]
    assert abs(with_prior["items"][0]["theta"] or 0) < abs(whole["items"][0]["theta"] or 0)


def test_a_what_if_without_an_unknown_judge_is_refused() -> None:
    with pytest.raises(JudgingDataError, match="there is no judge 'nobody'"):
        detailed(session("a", "b"), [], Wanted(Change(without_judges=("nobody",))))


def test_judges_are_in_the_order_of_the_language_asked_for() -> None:
    facts = session("Öberg", "Ask", "Ågren", "Zorn")
    by_name = [judge["judge"] for judge in detailed(facts, [], Wanted(locale="sv"))["judges"]]
    assert by_name == ["Ask", "Zorn", "Ågren", "Öberg"]


def test_the_share_of_random_next_pairs_can_be_chosen() -> None:
    facts = session("a", "b")
    pairs = detailed(facts, [], Wanted(random_share=0.0))["next_pairs"]
    assert pairs
    assert not [pair for pair in pairs if pair["reason"] == "random"]
    assert [pair for pair in detailed(facts, [])["next_pairs"] if pair["reason"] == "random"]
