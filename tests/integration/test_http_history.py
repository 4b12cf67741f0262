"""What happened to a batch, how it stood, and why it is ready or not: over HTTP, from the event store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from domain import batch_state
from domain.batch import batch_stream_id
from domain.batch_events import EssaySpellchecked
from domain.batch_state import BatchState
from tests.support.given import (
    assessed,
    caused_by,
    minute,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rest_contract import check_body, check_error
from tests.support.school import School, school_on


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """One installation for the module; each test has batches of its own."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        yield running


def ask(school: School, batch_id: str, what: str, **query: str | int) -> Any:
    """Return an answer about a batch."""
    response = school.api.get(path(batch_id, what, **query))
    assert response.status_code == 200, response.text
    return response.json()


def path(batch_id: str, what: str, **query: str | int) -> str:
    """Return the address of an answer about a batch."""
    asked = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    return f"/internal/v1/batches/{quote(batch_id)}/{what}{'?' + asked if asked else ''}"


def time(number: int) -> str:
    """Return a minute of the story as a client writes it."""
    return minute(number).isoformat().replace("+00:00", "Z")


def versions(page: Any) -> list[int]:
    """Return the versions of the events in a page."""
    return [event["version"] for event in page["events"]]


STORY = (
    registered("e1", "e2", at=0),
    slot_assigned("e1", "a name.docx", at=1),
    spellchecked("e1", at=10),
    spellcheck_failed("e2", at=11, error_info={"error_message": "a name"}),
    assessed("e1", at=20),
)


# History.


def test_each_event_is_told_with_its_times_and_its_cause(school: School) -> None:
    school.hear("told", *STORY, received=[0, 1, 12, 12, 22])
    page = ask(school, "told", "history")

    assert [event["text"] for event in page["events"]] == [
        "The batch was registered for teacher-0007 with 2 essays: e1, e2.",
        "The uploaded file upload-1 took the place of essay e1.",
        "Essay e1 came through its spellcheck with 3 corrections.",
        "Essay e2 failed its spellcheck.",
        "The comparative-judgement job job-1 ranked 1 essay.",
        "RAS announced the ranking of 1 essay by the job job-1 to teacher-0007.",
        "RAS announced the results to teacher-0007: completed with failures, 1 of 2 essays done (revision 1).",
    ]
    assert versions(page) == [1, 2, 3, 4, 5, 6, 7]
    third = page["events"][2]
    assert third | {"notification_id": 0} == {
        "version": 3,
        "notification_id": 0,
        "event": "ras.batch.essay-spellchecked.v1",
        "text": "Essay e1 came through its spellcheck with 3 corrections.",
        "happened_at": "2026-03-07T08:10:00Z",
        "recorded_at": "2026-03-07T08:12:00Z",
        "cause": {
            "topic": "upstream",
            "partition": 0,
            "offset": 2,
            "event_id": "event-2",
            "correlation_id": None,
        },
    }
    assert "a name" not in str(page)


def test_notification_ids_are_those_of_the_log(school: School) -> None:
    school.hear("numbered", *STORY)
    page = ask(school, "numbered", "history")

    with probe(school.url) as database:
        log = [n for n, stream, _ in database.log() if stream == batch_stream_id("numbered")]
    assert [event["notification_id"] for event in page["events"]] == log


def test_pages_follow_one_another(school: School) -> None:
    school.hear("paged", *STORY)
    first = ask(school, "paged", "history", limit=3)
    second = ask(school, "paged", "history", limit=3, cursor=first["next_cursor"])
    third = ask(school, "paged", "history", limit=3, cursor=second["next_cursor"])

    assert [versions(page) for page in (first, second, third)] == [[1, 2, 3], [4, 5, 6], [7]]
    assert third["next_cursor"] is None
    beyond = ask(school, "paged", "history", cursor=7)
    assert (versions(beyond), beyond["next_cursor"]) == ([], None)


def test_history_as_of_a_time_by_either_clock_and_in_pages(school: School) -> None:
    school.hear("then", *STORY, received=[0, 1, 12, 30, 40])

    assert versions(ask(school, "then", "history", as_of=time(12))) == [1, 2, 3]
    assert versions(ask(school, "then", "history", as_of=time(12), by="happened")) == [1, 2, 3, 4]
    page = ask(school, "then", "history", as_of=time(30), limit=2, cursor=1)
    assert (versions(page), page["next_cursor"]) == ([2, 3], "3")
    assert (page["as_of"], page["by"]) == ("2026-03-07T08:30:00Z", "recorded")


@pytest.mark.parametrize("what", ["history", "readiness", "status"])
def test_a_batch_of_which_nothing_is_known_is_not_found(school: School, what: str) -> None:
    query = {} if what == "readiness" else {"as_of": time(5)}
    response = school.api.get(path("never-heard-of", what, **query))
    assert (response.status_code, response.json()["error"]) == (404, "Batch not found")
    check_error(response.json())


@pytest.mark.parametrize("what", ["history", "status"])
@pytest.mark.parametrize(
    "query",
    [
        {"as_of": "yesterday"},
        {"as_of": ""},
        {"as_of": "2026-03-07T08:00:00"},
        {"as_of": "2026-02-30T08:00:00Z"},
        {"as_of": "\0"},
        {"as_of": time(1), "by": "luck"},
        {"by": "luck"},
    ],
    ids=str,
)
def test_a_time_that_is_none_is_a_bad_request(school: School, what: str, query: dict[str, str]) -> None:
    response = school.api.get(path("asked", what, **query))
    assert (response.status_code, response.json()["title"]) == (400, "Bad request")


@pytest.mark.parametrize("batch_id", ["%00", "x" * 256])
@pytest.mark.parametrize("what", ["history", "readiness", "status?as_of=2026-03-07T08:00:00Z"])
def test_what_cannot_be_an_id_is_a_bad_request(school: School, batch_id: str, what: str) -> None:
    assert school.api.get(f"/internal/v1/batches/{batch_id}/{what}").status_code == 400


# How it stood.


def test_a_batch_stood_as_was_known_at_each_moment(school: School) -> None:
    answers = []
    story = [*STORY, spellchecked("e2", at=25)]
    for number, message in enumerate(story):
        school.hear("stood", message, received=[10 * number])
        answers.append(school.status("stood"))

    for number, then in enumerate(answers):
        body = ask(school, "stood", "status", as_of=time(10 * number + 9))
        check_body("batch-status", body)
        assert body == then


def test_by_happened_a_late_message_counts_from_when_it_was_so(school: School) -> None:
    school.hear("late", *STORY, received=[0, 1, 2, 300, 300])

    known_then = ask(school, "late", "status", as_of=time(30))
    known_now = ask(school, "late", "status", as_of=time(30), by="happened")
    assert (known_then["overall_status"], known_now["overall_status"]) == (
        "processing",
        "completed_with_failures",
    )
    assert known_now["processing_completed_at"] == "2026-03-07T08:20:00Z"


def test_before_its_registration_the_answer_says_when_it_begins(school: School) -> None:
    school.hear("early", *STORY, received=[100, 101, 102, 103, 104])

    for what, by, begins in [
        ("status", "recorded", "its registration was recorded at 2026-03-07T09:40:00Z"),
        ("status", "happened", "its registration happened at 2026-03-07T08:00:00Z"),
        ("history", "recorded", "the first event of it was recorded at 2026-03-07T09:40:00Z"),
        ("history", "happened", "the first event of it happened at 2026-03-07T08:00:00Z"),
    ]:
        response = school.api.get(path("early", what, as_of="2026-03-07T07:59:59Z", by=by))
        assert response.status_code == 404
        assert begins in response.json()["detail"]
        check_error(response.json())


def test_results_without_a_registration_have_a_history_but_no_status(school: School) -> None:
    school.hear("unregistered", spellchecked("e1"))

    assert len(ask(school, "unregistered", "history")["events"]) == 1
    assert school.api.get(path("unregistered", "status", as_of=time(999))).status_code == 404


def test_answers_of_the_past_have_an_etag(school: School) -> None:
    school.hear("tagged", *STORY)
    for address in (
        path("tagged", "history"),
        path("tagged", "status", as_of=time(700)),
        path("tagged", "readiness"),
    ):
        tag = school.api.get(address).headers["ETag"]
        assert school.api.get(address, If_None_Match=tag).status_code == 304


# Why it is ready, or not.


def test_readiness_names_what_is_missing_and_where_it_would_come_from(school: School) -> None:
    school.hear("waiting", registered("e1", "e2", "e3"), spellchecked("e1"), spellcheck_failed("e2"))
    body = ask(school, "waiting", "readiness")

    assert (body["state"], body["is_ready"]) == ("not_ready", False)
    assert {phase["phase"]: phase["missing"] for phase in body["phases"]} == {
        "spellcheck": {"count": 1, "essay_ids": ["e3"]},
        "cj_assessment": {"count": 2, "essay_ids": ["e1", "e3"]},
    }
    assert body["awaited"] == [
        {
            "message": "spellcheck_result",
            "phase": "spellcheck",
            "count": 1,
            "topic": "huleedu.essay.spellcheck.results.v1",
        },
        {
            "message": "assessment_result",
            "phase": "cj_assessment",
            "count": 1,
            "topic": "huleedu.assessment.result.published.v1",
        },
    ]


def test_readiness_of_a_large_batch_names_the_first_essays_and_all_on_demand(school: School) -> None:
    essays = [f"e{number:04}" for number in range(1000)]
    school.hear("large", registered(*essays))

    [some, _] = ask(school, "large", "readiness")["phases"]
    [every, _] = ask(school, "large", "readiness", all="true")["phases"]
    assert some["missing"] == {"count": 1000, "essay_ids": essays[:10]}
    assert every["missing"] == {"count": 1000, "essay_ids": essays}


def test_an_unregistered_batch_says_what_it_knows(school: School) -> None:
    school.hear("nobodys", spellchecked("e1"))
    body = ask(school, "nobodys", "readiness")

    assert (body["state"], body["is_ready"]) == ("not_registered", False)
    assert [each["message"] for each in body["awaited"]] == ["registration"]


def test_parked_messages_explain_why_a_batch_stands_still(school: School) -> None:
    school.hear("parked", registered("e1"))
    batch = school.chain.batch("parked")
    batch.park(
        fault="KeyError",
        reason="KeyError: 'a name'",
        key=None,
        value="",
        headers=(),
        happened_at=minute(3),
        causation=caused_by(3),
    )
    school.chain.record(batch.collect_events())
    body = ask(school, "parked", "readiness")

    assert body["parked"]["count"] == 1
    assert body["parked"]["messages"][0]["offset"] == 3
    assert any("our own code failed (KeyError)" in sentence for sentence in body["sentences"])
    assert "a name" not in str(body)


# Events that this release cannot read.


def test_a_stream_with_an_event_of_a_newer_release_is_told_but_not_folded(school: School) -> None:
    school.hear("newer", *STORY)
    with probe(school.url) as database:
        database.execute(
            "UPDATE ras.stored_events SET topic = 'ras.batch.something.v9'"
            " WHERE originator_id = %s AND originator_version = 3",
            batch_stream_id("newer"),
        )
    page = ask(school, "newer", "history")
    assert (page["events"][2]["event"], page["events"][2]["cause"]) == ("ras.batch.something.v9", None)
    assert len(page["events"]) == 7

    body = ask(school, "newer", "readiness")
    assert (body["state"], body["is_ready"]) == ("unreadable", None)
    assert "event 3 of this batch (ras.batch.something.v9)" in body["sentences"][0]

    response = school.api.get(path("newer", "status", as_of=time(700)))
    assert response.status_code == 500
    assert "Event 3 of this batch (ras.batch.something.v9)" in response.json()["detail"]


def test_a_stream_that_our_own_code_cannot_fold_is_told_and_explained(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    school.hear("unfoldable", *STORY)

    def fail(_state: BatchState, _event: object) -> None:
        raise KeyError("a name")

    monkeypatch.setitem(batch_state._EVOLVE, EssaySpellchecked, fail)

    assert len(ask(school, "unfoldable", "history")["events"]) == 7
    body = ask(school, "unfoldable", "readiness")
    assert body["state"] == "unreadable"
    assert body["sentences"] == ["Nobody can say: our own code fails on event 3 of this batch (KeyError)."]
    response = school.api.get(path("unfoldable", "status", as_of=time(700)))
    assert response.status_code == 500
    assert "Our own code fails on event 3 of this batch (KeyError)" in response.json()["detail"]
