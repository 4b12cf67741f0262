"""The teacher's inbox over HTTP: pages, unread ones, and marking as read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from domain.inbox import NotificationRead
from domain.times import utc_text
from infrastructure.eventstore.event_registry import event_codec
from tests.support.given import assessed, registered, spellcheck_failed, spellchecked
from tests.support.http import API_KEY, GATEWAY
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import School, school_on

CORRELATION_ID = "5f1d2c3b-0000-4000-8000-00000000abcd"


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """One installation for the module; each test has a teacher of its own."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        yield running


@pytest.fixture
def teacher(school: School) -> str:
    """A teacher with the notifications of two finished batches: results and ranking of each."""
    name = next(school.teachers)
    for batch in ("first", "second"):
        school.hear(
            f"{name}-{batch}",
            registered("e1", user_id=name, class_id="9b"),
            spellchecked("e1"),
            assessed("e1"),
        )
    return name


def ids(body: dict[str, Any]) -> list[str]:
    """Return the notifications' ids, in their order."""
    return [each["notification_id"] for each in body["notifications"]]


def read_path(teacher: str, notification_id: str) -> str:
    """Return where a notification is marked as read."""
    return f"/internal/v1/teachers/{teacher}/notifications/{notification_id}/read"


def recorded_reads(school: School) -> list[NotificationRead]:
    """Return every mark in the event store."""
    with probe(school.url) as database:
        events = [event_codec().to_domain_event(stored) for stored in database.stored()]
    return [event for event in events if isinstance(event, NotificationRead)]


def test_the_inbox_holds_what_was_sent_newest_first(school: School, teacher: str) -> None:
    body = school.inbox(teacher)

    assert body["next_cursor"] is None
    assert [(n["batch_id"], n["notification_type"], n["priority"]) for n in body["notifications"]] == [
        (f"{teacher}-second", "batch_results_ready", "high"),
        (f"{teacher}-second", "batch_assessment_completed", "standard"),
        (f"{teacher}-first", "batch_results_ready", "high"),
        (f"{teacher}-first", "batch_assessment_completed", "standard"),
    ]
    for notification in body["notifications"]:
        assert notification["category"] == "processing_results"
        assert (notification["action_required"], notification["class_id"]) == (False, "9b")
        assert notification["payload"]["batch_id"] == notification["batch_id"]
        assert (notification["timestamp"], notification["read_at"]) == ("2026-03-07T08:20:00Z", None)


def test_pages_hold_every_notification_once_although_new_ones_come(school: School, teacher: str) -> None:
    whole = ids(school.inbox(teacher))
    first = school.inbox(teacher, "?limit=3")
    school.hear(f"{teacher}-third", registered("e1", user_id=teacher), spellcheck_failed("e1"))
    second = school.inbox(teacher, f"?limit=3&cursor={first['next_cursor']}")

    assert ids(first) + ids(second) == whole
    assert second["next_cursor"] is None


def test_a_page_that_ends_with_the_last_one_has_no_next(school: School, teacher: str) -> None:
    assert school.inbox(teacher, "?limit=4")["next_cursor"] is None
    assert school.inbox(teacher, "?limit=0")["notifications"] == school.inbox(teacher)["notifications"]


def test_an_unknown_teacher_has_an_empty_inbox(school: School) -> None:
    assert school.inbox("nobody") == {"notifications": [], "unread": 0, "next_cursor": None}


@pytest.mark.parametrize(
    "query", ["?cursor=abc", "?cursor=-1", "?cursor=", "?cursor=" + "9" * 19, "?unread=maybe"]
)
def test_a_cursor_or_flag_that_is_none_is_a_bad_request(school: School, query: str) -> None:
    assert school.api.get(f"/internal/v1/teachers/nobody/notifications{query}").status_code == 400


def test_marking_as_read_is_recorded_once_and_shown_when_projected(school: School, teacher: str) -> None:
    newest, *others = ids(school.inbox(teacher))
    before = len(recorded_reads(school))

    for _ in range(2):
        response = school.api.request("POST", read_path(teacher, newest), X_Correlation_ID=CORRELATION_ID)
        assert (response.status_code, response.content) == (204, b"")

    [mark] = recorded_reads(school)[before:]
    assert (str(mark.notification_id), mark.teacher_id) == (newest, teacher)
    assert mark.causation.correlation_id == CORRELATION_ID
    school.chain.project([mark])
    assert ids(school.inbox(teacher, "?unread=true")) == others
    for query in ("", "?limit=1", "?unread=true", "?cursor=1"):
        assert school.inbox(teacher, query)["unread"] == len(others)  # of the inbox, whatever the page shows
    read_at = school.inbox(teacher)["notifications"][0]["read_at"]
    assert read_at == utc_text(mark.happened_at)


def test_a_read_mark_survives_a_notification_that_is_sent_again(school: School, teacher: str) -> None:
    """A projection that is told of an event once more must not forget what came after it."""
    name = next(school.teachers)
    recorded = school.hear(f"{name}-only", registered("e1", user_id=name), spellchecked("e1"), assessed("e1"))
    [newest, _] = ids(school.inbox(name))
    school.api.request("POST", read_path(name, newest))
    school.chain.project([mark for mark in recorded_reads(school) if str(mark.notification_id) == newest])
    school.chain.project([each.event for each in recorded])

    assert newest not in ids(school.inbox(name, "?unread=1"))


def test_many_who_mark_at_once_leave_one_mark(school: School, teacher: str) -> None:
    notifications = ids(school.inbox(teacher))
    before = len(recorded_reads(school))
    headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": GATEWAY}
    requests = [("POST", read_path(teacher, each), headers) for each in notifications for _ in range(5)]

    answers = school.api.send_together(requests)

    assert [answer.status_code for answer in answers] == [204] * len(requests)
    marks = recorded_reads(school)[before:]
    assert sorted(str(mark.notification_id) for mark in marks) == sorted(notifications)


def test_what_is_not_in_this_teachers_inbox_cannot_be_marked(school: School, teacher: str) -> None:
    newest = ids(school.inbox(teacher))[0]
    before = len(recorded_reads(school))

    for owner, notification_id in [
        ("teacher-9999", newest),
        (teacher, str(uuid4())),
        (teacher, "not-a-uuid"),
        (teacher, "%00"),
        (teacher.upper(), newest),
    ]:
        response = school.api.request("POST", read_path(owner, notification_id))
        assert (response.status_code, response.json()["error"]) == (404, "Notification not found")
    assert len(recorded_reads(school)) == before


def test_a_correlation_id_that_is_no_uuid_is_not_recorded(school: School, teacher: str) -> None:
    newest = ids(school.inbox(teacher))[0]
    response = school.api.request("POST", read_path(teacher, newest), X_Correlation_ID="click-17")

    assert response.headers["X-Correlation-ID"] == "click-17"
    assert recorded_reads(school)[-1].causation.correlation_id is None


def test_looking_does_not_mark(school: School, teacher: str) -> None:
    newest = ids(school.inbox(teacher))[0]
    response = school.api.get(read_path(teacher, newest))

    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, POST")
    assert newest in ids(school.inbox(teacher, "?unread=true"))
