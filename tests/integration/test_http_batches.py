"""How batches stand over HTTP: before they are done, in lists, and while a client holds an older answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from application.batch_status import STATUS_FILTERS
from domain.times import utc_text
from domain.values import CLIENT_STATUS, BatchStatus
from tests.support.given import (
    Message,
    assessed,
    minute,
    phase_outcome,
    pipeline_completed,
    registered,
    slot_assigned,
    spellcheck_failed,
    spellchecked,
)
from tests.support.http import API_KEY, GATEWAY
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rest_contract import check_error
from tests.support.school import School, school_on


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """One installation for the module; each test has batches and a teacher of its own."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        yield running


# How a batch stands.


def test_statuses_before_completion_follow_what_has_come(school: School) -> None:
    stands: list[tuple[str, str | None]] = []
    story = [
        registered("e1", "e2"),
        slot_assigned("e1"),
        slot_assigned("e2"),
        spellchecked("e1"),
        spellchecked("e2"),
        assessed("e1", "e2"),
    ]
    for message in story:
        school.hear("course", message)
        body = school.status("course")
        stands.append((body["overall_status"], body["current_phase"]))

    assert stands == [
        ("pending_content", None),
        ("pending_content", None),
        ("ready", None),
        ("processing", "spellcheck"),
        ("processing", "cj_assessment"),
        ("completed_successfully", None),
    ]
    assert body["processing_started_at"] == "2026-03-07T08:10:00Z"
    assert body["processing_completed_at"] == "2026-03-07T08:20:00Z"
    assert body["created_at"] == "2026-03-07T08:00:00Z"


def test_counts_while_the_batch_is_under_way(school: School) -> None:
    school.hear("half", registered("e1", "e2", "e3"), spellchecked("e1"), spellcheck_failed("e2"))

    body = school.status("half")
    assert (body["essay_count"], body["completed_essay_count"], body["failed_essay_count"]) == (3, 0, 1)


def test_a_critical_failure_fails_every_essay_that_is_not_done(school: School) -> None:
    failed = phase_outcome("spellcheck", BatchStatus.FAILED_CRITICALLY, failed=["e2"])
    school.hear("critical", registered("e1", "e2", "e3"), spellchecked("e1"), failed)

    body = school.status("critical")
    assert body["overall_status"] == "failed"
    assert (body["completed_essay_count"], body["failed_essay_count"]) == (0, 3)


def test_a_cancelled_batch_keeps_its_counts(school: School) -> None:
    stopped = pipeline_completed("spellcheck", status=BatchStatus.CANCELLED)
    school.hear("stopped", registered("e1", "e2"), spellchecked("e1"), stopped)

    body = school.status("stopped")
    assert (body["overall_status"], body["completed_essay_count"], body["failed_essay_count"]) == (
        "cancelled",
        1,
        0,
    )


def test_an_essay_that_the_ranking_leaves_out_failed_in_judgement_and_says_why(school: School) -> None:
    school.hear(
        "left-out",
        registered("e1", "e2", "e3"),
        *(spellchecked(essay) for essay in ("e1", "e2")),
        spellcheck_failed("e3"),
        assessed("e1", job="job-7"),
    )

    by_id = {essay["essay_id"]: essay for essay in school.status("left-out")["essays"]}
    assert {essay_id: essay["cj_assessment_status"] for essay_id, essay in by_id.items()} == {
        "e1": "completed",
        "e2": "failed",
        "e3": None,
    }
    error = by_id["e2"]["cj_assessment_error_detail"]
    assert (error["error_code"], error["details"]) == ("PROCESSING_ERROR", {"cj_assessment_job_id": "job-7"})
    assert by_id["e3"]["cj_assessment_error_detail"] is None


def test_an_essay_that_failed_in_nlp_never_got_to_judgement(school: School) -> None:
    school.hear(
        "nlp",
        registered("e1", "e2"),
        spellchecked("e1"),
        spellchecked("e2"),
        phase_outcome("nlp", BatchStatus.COMPLETED_WITH_FAILURES, failed=["e2"]),
        assessed("e1"),
        pipeline_completed("spellcheck", "nlp", "cj_assessment"),
    )

    body = school.status("nlp")
    assert (body["completed_essay_count"], body["failed_essay_count"]) == (1, 1)
    assert [essay["cj_assessment_status"] for essay in body["essays"]] == ["completed", None]


def test_essays_come_in_the_order_of_the_registration_and_no_others(school: School) -> None:
    school.hear("order", registered("e3", "e1", "e2"), spellchecked("stranger"), slot_assigned("another"))

    assert [essay["essay_id"] for essay in school.status("order")["essays"]] == ["e3", "e1", "e2"]


def test_a_batch_without_essays_is_a_batch(school: School) -> None:
    school.hear("empty", registered())

    body = school.status("empty")
    assert (body["overall_status"], body["essay_count"], body["essays"]) == ("pending_content", 0, [])


@pytest.mark.parametrize(
    "batch_id", ["never-heard-of", "only-results", "%F0%9F%8E%93", "a%20b", "%27%22%3B--"]
)
def test_an_unknown_or_unregistered_batch_is_not_found(school: School, batch_id: str) -> None:
    school.hear("only-results", spellchecked("e1"))

    response = school.api.get(f"/internal/v1/batches/{batch_id}/status")
    assert response.status_code == 404
    assert response.json()["error"] == "Batch not found"
    check_error(response.json())


@pytest.mark.parametrize("batch_id", ["%00", "a%00b", "x" * 256])
def test_what_cannot_be_an_id_is_a_bad_request(school: School, batch_id: str) -> None:
    response = school.api.get(f"/internal/v1/batches/{batch_id}/status")
    assert response.status_code == 400
    assert response.json()["error"] == "Invalid batch ID"
    check_error(response.json())
    assert school.api.get(f"/internal/v1/batches/user/{batch_id}").status_code == 400


# What a client has already.


def test_the_etag_changes_with_every_change_and_only_then(school: School) -> None:
    path = "/internal/v1/batches/tagged/status"
    known: list[tuple[str, bytes]] = []
    story: Sequence[Message] = [
        registered("e1", "e2"),
        slot_assigned("e1"),
        slot_assigned("e2"),
        spellchecked("e1"),
        spellcheck_failed("e2"),
        spellchecked("e2", at=12),
        phase_outcome("spellcheck"),
        assessed("e1", "e2"),
        assessed("e2", "e1", job="job-2", at=21),
        pipeline_completed("spellcheck", "cj_assessment"),
    ]
    for message in story:
        school.hear("tagged", message)
        response = school.api.get(path)
        known.append((response.headers["ETag"], response.content))
        repeated = school.api.get(path, If_None_Match=response.headers["ETag"])
        assert (repeated.status_code, repeated.content) == (304, b"")
        assert repeated.headers["ETag"] == response.headers["ETag"]
        school.hear("tagged", message)  # a repeat changes nothing
        assert school.api.get(path).headers["ETag"] == response.headers["ETag"]

    assert len({etag for etag, _ in known}) == len(story)
    assert school.api.get(path, If_None_Match=known[0][0]).status_code == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        (lambda etag: etag, 304),
        (lambda etag: f"W/{etag}", 304),
        (lambda etag: f'"other", {etag}', 304),
        (lambda etag: "*", 304),
        (lambda etag: f'{etag[:-1]}-gzip"', 304),
        (lambda etag: f'W/{etag[:-1]}-br"', 304),
        (lambda etag: f'{etag[:-1]}--gzip"', 304),
        (lambda etag: f"{etag}-gzip", 304),
        (lambda etag: f'{etag[:-1]}-gzip-other"', 200),
        (lambda etag: f'{etag[:-1]}gzip"', 200),
        (lambda etag: etag.strip('"'), 200),
        (lambda etag: '"other"', 200),
        (lambda etag: "", 200),
    ],
    ids=[
        "same",
        "weak",
        "one of two",
        "any",
        "marked by Apache",
        "weak and marked",
        "marked by Jetty",
        "marked behind the quotes",
        "marked by nobody",
        "longer",
        "unquoted",
        "other",
        "empty",
    ],
)
def test_if_none_match_is_read_as_the_standard_says(
    school: School, form: Callable[[str], str], status: int
) -> None:
    school.hear("matched", registered("e1"))
    path = "/internal/v1/batches/matched/status"
    etag = school.api.get(path).headers["ETag"]

    assert school.api.get(path, If_None_Match=form(etag)).status_code == status


def test_if_none_match_may_come_in_several_lines(school: School) -> None:
    school.hear("matched-in-lines", registered("e1"))
    path = "/internal/v1/batches/matched-in-lines/status"
    etag = school.api.get(path).headers["ETag"]
    accepted = [(b"X-Internal-API-Key", API_KEY.encode()), (b"X-Service-ID", GATEWAY.encode())]
    lines = [(b"If-None-Match", each.encode()) for each in ('"other"', etag, '"third"')]

    response = school.api.send("GET", path, [*accepted, *lines])

    assert (response.status_code, response.headers["ETag"]) == (304, etag)


def test_head_answers_with_the_headers_alone(school: School) -> None:
    school.hear("head", registered("e1"))
    path = "/internal/v1/batches/head/status"
    whole = school.api.get(path)

    response = school.api.request("HEAD", path)
    assert (response.status_code, response.content) == (200, b"")
    for name in ("ETag", "Content-Type", "Content-Length"):
        assert response.headers[name] == whole.headers[name]


# A user's batches.


def test_a_users_batches_come_newest_first_in_pages(school: School) -> None:
    teacher = next(school.teachers)
    for number in range(5):
        school.hear(f"{teacher}-{number}", registered("e1", at=number, user_id=teacher))
    newest_first = [f"{teacher}-{number}" for number in (4, 3, 2, 1, 0)]

    def page(query: str) -> tuple[list[str], dict[str, Any]]:
        body = school.mine(teacher, query)
        ends = body["pagination"].pop("next_cursor")
        return [batch["batch_id"] for batch in body["batches"]], body["pagination"] | {"ends": ends is None}

    assert page("") == (newest_first, {"limit": 20, "offset": 0, "total": 5, "ends": True})
    assert page("?limit=2") == (newest_first[:2], {"limit": 2, "offset": 0, "total": 5, "ends": False})
    assert page("?limit=2&offset=2") == (
        newest_first[2:4],
        {"limit": 2, "offset": 2, "total": 5, "ends": False},
    )
    assert page("?limit=2&offset=4") == (
        newest_first[4:],
        {"limit": 2, "offset": 4, "total": 5, "ends": True},
    )
    assert page("?limit=2&offset=6") == ([], {"limit": 2, "offset": 6, "total": 5, "ends": True})


def test_batches_registered_at_the_same_time_do_not_change_places_between_pages(school: School) -> None:
    teacher = next(school.teachers)
    names = [f"{teacher}-{letter}" for letter in "dbca"]
    for name in names:
        school.hear(name, registered("e1", user_id=teacher))

    pages = [school.mine(teacher, f"?limit=1&offset={offset}")["batches"] for offset in range(4)]
    assert [batch["batch_id"] for [batch] in pages] == sorted(names)


def pages_of(school: School, teacher: str, query: str = "", limit: int = 2) -> Iterator[list[str]]:
    """Yield the batches of each page, by cursors."""
    cursor = ""
    while cursor is not None:
        body = school.mine(teacher, f"?limit={limit}{query}{cursor and f'&cursor={quote(cursor)}'}")
        yield [batch["batch_id"].removeprefix(f"{teacher}-") for batch in body["batches"]]
        cursor = body["pagination"]["next_cursor"]


def test_pages_by_cursor_hold_every_batch_once_although_others_arrive(school: School) -> None:
    teacher = next(school.teachers)
    for number in range(3):
        for letter in ("b", "å /%&", "c"):  # three are registered at each time
            school.hear(f"{teacher}-{number}{letter}", registered("e1", at=number, user_id=teacher))

    whole = [each for [each] in pages_of(school, teacher, limit=1)]
    assert whole == [
        batch["batch_id"].removeprefix(f"{teacher}-") for batch in school.mine(teacher)["batches"]
    ]
    assert len(set(whole)) == 9

    found = []
    for page in pages_of(school, teacher):
        found += page
        school.hear(f"{teacher}-new-{len(found)}", registered("e1", at=50 + len(found), user_id=teacher))
    assert found == whole


def test_a_cursor_goes_with_a_status_and_the_total_stays_that_of_the_list(school: School) -> None:
    teacher = next(school.teachers)
    for number in range(5):
        story = [registered("e1", at=number, user_id=teacher)]
        school.hear(f"{teacher}-{number}", *story, *([spellchecked("e1")] if number % 2 else []))

    first = school.mine(teacher, "?limit=2&status=pending_content")["pagination"]
    second = school.mine(teacher, f"?limit=2&status=pending_content&cursor={first['next_cursor']}")[
        "pagination"
    ]
    assert list(pages_of(school, teacher, "&status=pending_content")) == [["4", "2"], ["0"]]
    assert (first["total"], second["total"], second["next_cursor"]) == (3, 3, None)


@pytest.mark.parametrize(
    "cursor", ["", "x", "12", "12-", "-", "1.5-a", "\u0663-a", "9" * 19 + "-a", "1-%00", "1-" + "x" * 256]
)
def test_what_is_no_cursor_is_a_bad_request(school: School, cursor: str) -> None:
    response = school.api.get(f"/internal/v1/batches/user/teacher-0001?cursor={cursor}")
    assert (response.status_code, "next_cursor" in response.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    "cursor", ["9" * 18 + "-a", "-" + "9" * 18 + "-a", "0-%0A", "0-" + "%F0%9F%8E%93" * 255]
)
def test_a_cursor_from_anywhere_in_time_is_taken(school: School, cursor: str) -> None:
    assert school.mine("nobody", f"?cursor={cursor}")["batches"] == []


def test_clients_find_batches_by_what_they_see_and_by_upstreams_words(school: School) -> None:
    teacher = next(school.teachers)
    stories: dict[str, list[Message]] = {
        "new": [],
        "ready": [slot_assigned("e1"), slot_assigned("e2")],
        "begun": [spellchecked("e1")],
        "done": [spellchecked("e1"), spellchecked("e2"), assessed("e1", "e2")],
        "poor": [spellchecked("e1"), spellcheck_failed("e2"), assessed("e1")],
        "failed": [phase_outcome("spellcheck", BatchStatus.FAILED_CRITICALLY)],
        "stopped": [phase_outcome("spellcheck", BatchStatus.CANCELLED)],
    }
    for name, story in stories.items():
        school.hear(f"{teacher}-{name}", registered("e1", "e2", user_id=teacher), *story)
    expected = {
        "pending_content": ["new"],
        "ready": ["ready"],
        "processing": ["begun"],
        "completed_successfully": ["done"],
        "completed_with_failures": ["poor"],
        "failed": ["failed"],
        "cancelled": ["stopped"],
        "awaiting_content_validation": ["new"],
        "content_ingestion_failed": ["failed"],
        "awaiting_pipeline_configuration": ["new"],
        "ready_for_pipeline_execution": ["ready"],
        "processing_pipelines": ["begun"],
        "awaiting_student_validation": ["begun"],
        "student_validation_completed": ["begun"],
        "validation_timeout_processed": ["begun"],
        "failed_critically": ["failed"],
    }
    assert set(expected) == set(CLIENT_STATUS.values()) | set(BatchStatus) == set(STATUS_FILTERS)

    for status, names in expected.items():
        body = school.mine(teacher, f"?status={status}")
        found = [batch["batch_id"].removeprefix(f"{teacher}-") for batch in body["batches"]]
        assert (found, body["pagination"]["total"]) == (names, len(names)), status
        assert school.mine(teacher, f"?status={status}&offset=9")["pagination"]["total"] == len(names)
    for status in CLIENT_STATUS.values():
        assert {
            batch["overall_status"] for batch in school.mine(teacher, f"?status={status}")["batches"]
        } == {status}


def test_a_status_that_nobody_knows_is_a_bad_request_that_lists_the_known_ones(school: School) -> None:
    response = school.api.get("/internal/v1/batches/user/teacher-0001?status=done%00")

    assert response.status_code == 400
    assert all(status.value in response.json()["detail"] for status in BatchStatus)
    assert school.mine(next(school.teachers), "?status=")["batches"] == []


@pytest.mark.parametrize(
    ("query", "limit", "offset"),
    [
        ("?limit=ten&offset=few", 20, 0),
        ("?limit=&offset=", 20, 0),
        ("?limit=1.5&offset=1e3", 20, 0),
        ("?limit=0&offset=-1", 20, 0),
        ("?limit=-5", 20, 0),
        ("?limit=5000&offset=3", 100, 3),
        ("?offset=" + "9" * 5000, 20, 2**31),
        ("?limit=%D9%A3&offset=%D9%A3", 20, 0),
        ("?limit=1_0&offset=1_0", 20, 0),
        ("?limit=%2B5&offset=%2B5", 20, 0),
        ("?limit=%205&offset=5%20", 20, 0),
        ("?limit=\u00b2&offset=%EF%BC%95", 20, 0),
        ("?limit=5%00&offset=0x5", 20, 0),
        ("?limit=007&offset=007", 7, 7),
        ("?offset=" + "9" * 30, 20, 2**31),
    ],
)
def test_a_limit_or_offset_that_makes_no_sense_falls_back(
    school: School, query: str, limit: int, offset: int
) -> None:
    pagination = {"limit": limit, "offset": offset, "total": 0, "next_cursor": None}
    assert school.mine("nobody", query)["pagination"] == pagination


def test_an_unknown_user_has_no_batches(school: School) -> None:
    pagination = {"limit": 20, "offset": 0, "total": 0, "next_cursor": None}
    assert school.mine("nobody") == {"batches": [], "pagination": pagination}


def test_a_batch_that_changed_hands_is_in_the_new_teachers_list_only(school: School) -> None:
    before, after = next(school.teachers), next(school.teachers)
    school.hear("handed", registered("e1", user_id=before))
    school.hear("handed", registered("e1", at=5, user_id=after))

    assert school.mine(before)["batches"] == []
    assert [batch["batch_id"] for batch in school.mine(after)["batches"]] == ["handed"]


def test_a_list_has_an_etag_too(school: School) -> None:
    teacher = next(school.teachers)
    path = f"/internal/v1/batches/user/{teacher}"
    etag = school.api.get(path).headers["ETag"]
    assert school.api.get(path, If_None_Match=etag).status_code == 304

    school.hear(f"{teacher}-first", registered("e1", user_id=teacher))
    assert school.api.get(path, If_None_Match=etag).status_code == 200


# How times are written.


@pytest.mark.parametrize("fraction", [0, 120_000, 123_456])
def test_a_time_is_written_alike_from_the_read_model_and_from_the_log(school: School, fraction: int) -> None:
    batch_id = f"times-{fraction}"
    at = minute(10).replace(microsecond=fraction)
    checked = replace(spellchecked("e1"), at=at)
    school.hear(batch_id, registered("e1"), checked, received=[0, 1])

    body = school.status(batch_id)
    assert body["last_updated"] == body["essays"][0]["last_updated"] == utc_text(at)
    assert school.api.get(f"/internal/v1/batches/{batch_id}/status?as_of=2026-03-08T00:00:00Z").json() == body


def test_an_answer_of_the_release_before_is_not_taken_for_unchanged(school: School) -> None:
    school.hear("upgraded", registered("e1"))
    path = "/internal/v1/batches/upgraded/status"
    etag = school.api.get(path).headers["ETag"]
    before = '"' + etag.strip('"').partition(".")[2] + '"'

    assert school.api.get(path, If_None_Match=etag).status_code == 304
    assert school.api.get(path, If_None_Match=before).status_code == 200
