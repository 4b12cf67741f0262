"""One essay in the batches of two teachers: each answer is about one batch, with nothing of the other's."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from tests.support.given import assessed, ranked, registered, slot_assigned, spellchecked
from tests.support.http import OPERATORS
from tests.support.people import SECRET, token_for
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import MISSPELT, School, school_on

PATH = "/internal/v1/essays/shared/aggregated-analysis"


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    """An essay that is in a batch of each of two teachers, each with a text, results and an analysis of its own."""
    with fresh_database(postgres_server.url) as url, school_on(url, jwt_secret=SecretStr(SECRET)) as running:
        for number, corrections in ((1, 11), (2, 22)):
            running.hear(
                f"batch-of-{number}",
                registered(
                    "shared",
                    f"own-{number}",
                    user_id=f"teacher-000{number}",
                    class_id=f"class-{number}",
                    at=number,
                ),
                slot_assigned("shared", f"file-of-{number}.docx", text_id=f"original-{number}"),
                spellchecked("shared", corrections=corrections),
                spellchecked(f"own-{number}"),
                assessed(ranked("shared", number), ranked(f"own-{number}", 3 - number), job=f"job-{number}"),
            )
            quoted = {**MISSPELT, "context": f"a text of teacher {number}", "context_offset": 2}
            running.analyse("shared", at=number, words=number, text=f"original-{number}", errors=[quoted])
        running.hear("stray", spellchecked("own-1"))
        yield running


def test_without_a_batch_nobodys_data_is_shown(school: School) -> None:
    response = school.api.get(PATH)

    assert response.status_code == 409
    assert "batch_id" in response.json()["detail"]
    assert "batch-of" not in response.text
    assert "teacher-000" not in response.text


@pytest.mark.parametrize(("number", "other"), [(1, 2), (2, 1)])
@pytest.mark.parametrize("include", ["", "&include=grammar_errors", "&include=grammar_errors,assessment"])
def test_with_a_batch_nothing_of_the_other_teacher_is_shown(
    school: School, number: int, other: int, include: str
) -> None:
    body = school.analysis("shared", f"?batch_id=batch-of-{number}{include}")

    assert (body["batch_id"], body["user_id"], body["owner_user_id"]) == (
        f"batch-of-{number}",
        f"teacher-000{number}",
        f"teacher-000{number}",
    )
    assert body["spellcheck"]["correction_count"] == 11 * number
    assert body["cj_ranking"]["job_id"] == f"job-{number}"
    assert body["word_count"] == number
    text = json.dumps(body)
    for word in ("batch-of-", "teacher-000", "class-", "file-of-", "job-", "original-", "a text of teacher "):
        assert f"{word}{other}" not in text


def test_an_analysis_of_a_text_that_neither_batch_knows_is_shown_to_nobody(school: School) -> None:
    school.analyse("shared", at=59, words=999, text="unknown")

    for number in (1, 2):
        assert school.analysis("shared", f"?batch_id=batch-of-{number}")["word_count"] == number


def test_a_batch_that_does_not_hold_the_essay_has_no_answer(school: School) -> None:
    for batch_id in ("batch-of-2", "stray", "no-such-batch"):
        path = f"/internal/v1/essays/own-1/aggregated-analysis?batch_id={batch_id}"
        response = school.api.get(path)
        assert (response.status_code, response.json()["error"]) == (404, "Essay not found")


def test_another_batch_that_only_reported_of_an_essay_does_not_make_it_shared(school: School) -> None:
    assert school.analysis("own-1")["batch_id"] == "batch-of-1"


@pytest.mark.parametrize("batch_id", ["", "x" * 256, "%00"])
def test_what_cannot_be_the_id_of_a_batch_is_refused(school: School, batch_id: str) -> None:
    assert school.api.get(f"{PATH}?batch_id={batch_id}").status_code == 400


def test_statuses_and_histories_of_both_batches_are_apart(school: School) -> None:
    for number, other in ((1, 2), (2, 1)):
        for route in ("status", "history", "readiness"):
            response = school.api.get(f"/internal/v1/batches/batch-of-{number}/{route}")
            assert response.status_code == 200
            for word in ("batch-of-", "teacher-000", "file-of-"):
                assert f"{word}{other}" not in response.text, route
        mine = school.mine(f"teacher-000{number}")
        assert [batch["batch_id"] for batch in mine["batches"]] == [f"batch-of-{number}"]
        inbox = json.dumps(school.inbox(f"teacher-000{number}"))
        assert f"batch-of-{number}" in inbox
        assert f"batch-of-{other}" not in inbox


def test_operators_may_look_at_both(school: School) -> None:
    for number in (1, 2):
        response = school.api.get(f"{PATH}?batch_id=batch-of-{number}", service=OPERATORS)
        assert response.status_code == 200


@pytest.mark.parametrize(("number", "other"), [(1, 2), (2, 1)])
def test_each_teachers_page_of_the_essay_is_of_their_own_batch(
    school: School, number: int, other: int
) -> None:
    signed_in = school.api.send("POST", "/sign-in", data={"token": token_for(f"teacher-000{number}")})
    assert signed_in.status_code == 303

    own = [f"/essays/shared?batch=batch-of-{number}", "/essays/shared", f"/batches/batch-of-{number}"]
    for path in own:
        page = school.api.send("GET", path)
        assert page.status_code == 200
        assert f"file-of-{number}.docx" in page.text
        for word in ("batch-of-", "file-of-", "class-"):
            assert f"{word}{other}" not in page.text, path
    assert f"/essays/shared?batch=batch-of-{number}" in page.text
    table = school.api.send("GET", f"/batches/batch-of-{number}/essays.csv").content.decode("utf-8-sig")
    words = {row["essay_id"]: row["words"] for row in csv.DictReader(io.StringIO(table))}
    assert words == {
        "shared": str(number),
        f"own-{number}": "",
    }  # that of the batch's own text, not the newest
    for path in (
        f"/essays/shared?batch=batch-of-{other}",
        f"/essays/own-{other}",
        f"/batches/batch-of-{other}",
    ):
        assert school.api.send("GET", path).status_code == 404
