"""An organisation's batches, for analytics at the level of a school."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from domain.values import BatchStatus
from tests.support.given import assessed, phase_outcome, registered, spellcheck_failed, spellchecked
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rest_contract import check_body
from tests.support.school import School, school_on

A_MONTH = 31 * 24 * 60
"""From the beginning of the stories, in March, into April, in minutes."""


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """One installation with two organisations, and a batch of none."""
    with fresh_database(postgres_server.url) as url, school_on(url) as running:
        in_march: dict[str, Any] = {"org_id": "school-1", "user_id": "teacher-0001"}
        in_april: dict[str, Any] = in_march | {"at": A_MONTH, "user_id": "teacher-0002", "course_code": "SV1"}
        running.hear("waits", registered("w1", **in_march))
        running.hear(
            "done", registered("d1", **in_march, course_code="SV1"), spellchecked("d1"), assessed("d1")
        )
        running.hear(
            "poor",
            registered("p1", "p2", **in_april),
            spellchecked("p1", at=A_MONTH),
            spellcheck_failed("p2", at=A_MONTH),
            assessed("p1", at=A_MONTH + 1),
        )
        running.hear(
            "failed", registered("f1", **in_april), phase_outcome("spellcheck", BatchStatus.FAILED_CRITICALLY)
        )
        running.hear("elsewhere", registered("x1", org_id="å/b ?", user_id="teacher-0001"))
        running.hear("nowhere", registered("n1", user_id="teacher-0001"))
        yield running


def ask(school: School, org_id: str, what: str) -> Any:
    """Return an answer about an organisation."""
    response = school.api.get(f"/internal/v1/organisations/{quote(org_id, safe='')}/{what}")
    assert response.status_code == 200, response.text
    return response.json()


def ids(page: Any) -> list[str]:
    """Return which batches a page has, having checked that each is as upstream's list has it."""
    check_body("user-batches", page)
    return [batch["batch_id"] for batch in page["batches"]]


def test_an_organisations_batches_are_those_of_all_its_teachers_newest_first(school: School) -> None:
    page = ask(school, "school-1", "batches")

    assert ids(page) == ["failed", "poor", "done", "waits"]
    assert page["pagination"] == {"limit": 20, "offset": 0, "total": 4, "next_cursor": None}
    assert {batch["user_id"] for batch in page["batches"]} == {"teacher-0001", "teacher-0002"}
    assert ids(ask(school, "å/b ?", "batches")) == ["elsewhere"]


def test_it_is_paged_and_filtered_as_a_users_list(school: School) -> None:
    first = ask(school, "school-1", "batches?limit=3")
    cursor = quote(first["pagination"]["next_cursor"])

    assert ids(ask(school, "school-1", f"batches?limit=3&cursor={cursor}")) == ["waits"]
    assert ids(ask(school, "school-1", "batches?limit=1&offset=1")) == ["poor"]
    assert ids(ask(school, "school-1", "batches?status=content_ingestion_failed")) == ["failed"]
    assert ids(ask(school, "school-1", "batches?limit=%D9%A3")) == ids(ask(school, "school-1", "batches"))


def test_the_summary_counts_by_status_course_and_month(school: School) -> None:
    assert ask(school, "school-1", "summary") == {
        "org_id": "school-1",
        "batches": 4,
        "by_status": {
            "completed_successfully": 1,
            "completed_with_failures": 1,
            "failed": 1,
            "pending_content": 1,
        },
        "by_course": {"ENG5": 1, "SV1": 3},
        "by_month": {"2026-03": 2, "2026-04": 2},
        "counts": [
            {"status": "pending_content", "course_code": "ENG5", "month": "2026-03", "batches": 1},
            {"status": "completed_successfully", "course_code": "SV1", "month": "2026-03", "batches": 1},
            {"status": "completed_with_failures", "course_code": "SV1", "month": "2026-04", "batches": 1},
            {"status": "failed", "course_code": "SV1", "month": "2026-04", "batches": 1},
        ],
    }


def test_an_organisation_that_nobody_has_named_has_nothing(school: School) -> None:
    assert ask(school, "nobody", "batches")["batches"] == []
    summary = ask(school, "nobody", "summary")
    assert (summary["batches"], summary["counts"], summary["by_month"]) == (0, [], {})


def test_a_batch_that_changed_its_organisation_counts_in_the_new_one_only(school: School) -> None:
    school.hear("moved", registered("m1", org_id="old"), registered("m1", at=5, org_id="new"))

    assert ask(school, "old", "summary")["batches"] == 0
    assert ids(ask(school, "new", "batches")) == ["moved"]


@pytest.mark.parametrize(
    "what", ["batches", "summary", "batches?status=done", "batches?cursor=x", "summary?month=1"]
)
def test_what_makes_no_sense_is_a_bad_request(school: School, what: str) -> None:
    org_id = "%00" if "?" not in what else "school-1"
    assert school.api.get(f"/internal/v1/organisations/{org_id}/{what}").status_code == 400


def test_an_unchanged_answer_is_not_sent_again(school: School) -> None:
    for what in ("batches", "summary"):
        path = f"/internal/v1/organisations/school-1/{what}"
        etag = school.api.get(path).headers["ETag"]
        assert school.api.get(path, If_None_Match=etag).status_code == 304
