"""Many dead letters settled by one order: those that the operator has seen, in pieces, each with its trace."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from application import topics
from domain.dead_letters import DeadLetterDiscarded, DeadLetterRetried
from infrastructure.queries import letters_by_id
from tests.integration.test_http_operators import Office, office, too_early
from tests.support.ingesting import dead_letter
from tests.support.projecting import project_store

__all__ = ["office"]

SPELLCHECKS = f"topic={topics.SPELLCHECK_RESULTS}"
WHY = {"why": "sent by a test", "by": "operator-0001"}


def put_aside(office: Office, number: int, *, first: int = 0) -> None:
    """Put spellchecks aside."""
    office.ingest(*(dead_letter(topics.SPELLCHECK_RESULTS, partition=first + n) for n in range(number)))


def positions(answer: Any, name: str = "letters") -> list[int]:
    """Return the ids of the letters of an answer."""
    return [letter["position"] for letter in answer[name]]


def refused(response: httpx.Response, status: int, words: str) -> None:
    """Make sure that an order was refused."""
    assert (response.status_code, words in response.json()["detail"]) == (status, True), response.text


def test_those_that_were_seen_are_discarded_and_each_leaves_its_trace(office: Office) -> None:
    put_aside(office, 3)
    office.ingest(dead_letter(topics.ASSESSMENT_RESULT))
    seen = office.ask(f"/dead-letters?{SPELLCHECKS}&limit=1")["settleable"]

    response = office.order(f"/dead-letters/discard?{SPELLCHECKS}", {"expected": seen, **WHY})

    assert response.status_code == 200
    body = response.json()
    assert (body["outcomes"], body["left"], body["next_cursor"]) == ({"discarded": 3}, 0, None)
    traces = [event for event in office.events() if isinstance(event, DeadLetterDiscarded)]
    assert [(trace.by, trace.why) for trace in traces] == [("operator-0001", "sent by a test")] * 3
    project_store(office.url)
    [left] = office.ask("/dead-letters")["dead_letters"]
    assert left["topic"] == topics.ASSESSMENT_RESULT


def test_letters_are_taken_in_again_by_the_ordinary_way(office: Office) -> None:
    intakes, _ = too_early()
    office.ingest(*intakes)

    body = office.order("/dead-letters/retry?reason=implausible_time", {"expected": 1}).json()

    assert (body["outcomes"], body["letters"][0]["outcome"]) == ({"recorded": 1}, "recorded")
    project_store(office.url)
    assert office.ask("/dead-letters")["settleable"] == 0


def test_letters_are_chosen_by_the_ids_that_they_carry(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_aside(office, 1)
    carriers = [b'{"data": {"entity_id": "essay-0001"', b'{"data": {"parent_id": "batch-0001"']
    office.ingest(
        *(
            dead_letter(topics.SPELLCHECK_RESULTS, partition=5 + n, value=value)
            for n, value in enumerate(carriers)
        )
    )

    by_essay = office.order("/dead-letters/discard?essay=essay-0001", {"expected": 1, **WHY})
    monkeypatch.setattr(letters_by_id, "MOST_LETTERS", 1)
    unsearched = office.order("/dead-letters/discard?batch=batch-0001", {"expected": 1, **WHY})
    monkeypatch.undo()
    by_batch = office.order("/dead-letters/retry?batch=batch-0001", {"expected": 1.0})

    assert by_essay.json()["outcomes"] == {"discarded": 1}
    refused(unsearched, 409, "Nothing was changed")
    assert by_batch.json()["outcomes"] == {"refused": 1}
    project_store(office.url)
    assert office.ask("/dead-letters")["settleable"] == 2


def test_another_number_than_expected_changes_nothing_and_says_which_it_is(office: Office) -> None:
    put_aside(office, 2)
    before = office.database.log()

    for expected in (0, 1, 3):
        response = office.order("/dead-letters/discard?all=true", {"expected": expected, **WHY})
        refused(response, 409, "there are 2 by now")

    assert office.database.log() == before


def test_pieces_go_on_behind_letters_that_are_refused_again(office: Office) -> None:
    put_aside(office, 5)
    path, expected, taken = f"/dead-letters/retry?{SPELLCHECKS}&limit=2", 5, []
    answer = office.order(path, {"expected": expected}).json()
    taken.append(positions(answer))
    while answer["left"]:
        project_store(office.url)
        cursor = answer["next_cursor"]
        answer = office.order(f"{path}&cursor={cursor}", {"expected": answer["left"]}).json()
        assert answer["outcomes"] == {"refused": len(answer["letters"])}
        taken.append(positions(answer))

    assert [len(piece) for piece in taken] == [2, 2, 1]
    tried = [event for event in office.events() if isinstance(event, DeadLetterRetried)]
    assert sorted({event.originator_id for event in tried}) == sorted(event.originator_id for event in tried)
    listed = office.ask("/dead-letters")
    assert positions(listed, "dead_letters") == sorted((p for piece in taken for p in piece), reverse=True)


def test_the_same_order_twice_settles_nothing_twice(office: Office) -> None:
    put_aside(office, 2)
    path, body = f"/dead-letters/discard?{SPELLCHECKS}", {"expected": 2, **WHY}
    assert office.order(path, body).json()["outcomes"] == {"discarded": 2}
    before = office.database.log()

    # The read model does not know it yet; the streams do.
    again = office.order(path, body).json()

    assert again["outcomes"] == {"not_possible": 2}
    assert again["letters"][0]["detail"] == "The message was discarded."
    assert office.database.log() == before
    project_store(office.url)
    refused(office.order(path, body), 409, "there are 0 by now")


def test_letters_that_come_meanwhile_do_not_count_with_until(office: Office) -> None:
    put_aside(office, 1)
    received = office.ask("/dead-letters")["dead_letters"][0]["received_at"]

    assert office.ask(f"/dead-letters?until={received}")["settleable"] == 0
    refused(office.order(f"/dead-letters/retry?until={received}", {"expected": 1}), 409, "there are 0 by now")


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"expected": 1}),
        ("?all=true&reason=not_json", {"expected": 1}),
        ("?all=perhaps", {"expected": 1}),
        ("?reason=luck", {"expected": 1}),
        ("?reason=parked", {"expected": 0}),
        ("?state=discarded&all=true", {"expected": 1}),
        ("?since=yesterday", {"expected": 1}),
        ("?all=true&cursor=x", {"expected": 1}),
        ("?all=true", {}),
        ("?all=true", {"expected": "1"}),
        ("?all=true", {"expected": True}),
        ("?all=true", {"expected": -1}),
        ("?all=true", {"expected": 1.5}),
        ("?all=true", b"["),
    ],
)
@pytest.mark.parametrize("action", ["retry", "discard"])
def test_an_order_that_makes_no_sense_changes_nothing(
    office: Office, action: str, query: str, body: Any
) -> None:
    put_aside(office, 1)
    before = office.database.log()
    if isinstance(body, dict):
        body = {**body, "why": "w"}

    response = office.order(f"/dead-letters/{action}{query}", body)

    assert (response.status_code, response.json()["title"]) == (400, "Bad request")
    assert office.database.log() == before


def test_a_discard_in_bulk_needs_a_reason_too(office: Office) -> None:
    put_aside(office, 1)
    refused(office.order("/dead-letters/discard?all=true", {"expected": 1}), 400, "why")
