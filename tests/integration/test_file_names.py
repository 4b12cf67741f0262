"""File names that a browser has percent-encoded: shown as they were written, wherever a name is shown."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Iterator

import pytest
from starlette.responses import Response

from domain.batch_events import EssaySlotAssigned
from infrastructure.http.identity import Identity
from infrastructure.http.sessions import Sessions
from tests.support.given import TEACHER, registered, slot_assigned
from tests.support.people import SESSION_KEY
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import School, school_on

ENCODED = "Student%20Name%20(Class)%20%C3%85.docx"
SHOWN = "Student Name (Class) Å.docx"
LATIN_1 = "%C5sa.docx"
FORMULA = "%3D1%2B1.docx"
NAMES = {"e1": SHOWN, "e2": LATIN_1, "e3": "=1+1.docx"}
BATCH = "named"


@pytest.fixture(scope="module")
def school(postgres_server: PostgresServerUnderTest) -> Iterator[School]:
    with (
        fresh_database(postgres_server.url) as url,
        school_on(url, session_keys=SESSION_KEY) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def recorded(school: School) -> list[str]:
    """The names that are recorded for the batch."""
    heard = school.hear(
        BATCH,
        registered(*NAMES),
        *(slot_assigned(essay, name) for essay, name in zip(NAMES, (ENCODED, LATIN_1, FORMULA), strict=True)),
        received=[0, 1, 2, 3],
    )
    return [r.event.original_file_name for r in heard if isinstance(r.event, EssaySlotAssigned)]


def cookie() -> str:
    """Return the session of the teacher."""
    response = Response()
    Sessions([SESSION_KEY], secure=False).start(response, Identity(TEACHER, frozenset(), time.time() + 3600))
    return response.headers["Set-Cookie"].partition(";")[0]


def test_the_name_is_recorded_as_it_came(recorded: list[str]) -> None:
    assert recorded == [ENCODED, LATIN_1, FORMULA]


@pytest.mark.usefixtures("recorded")
def test_every_route_shows_a_name_as_it_was_written(school: School) -> None:
    past = school.api.get(f"/internal/v1/batches/{BATCH}/status?as_of=2026-03-08T00:00:00Z").json()
    [listed] = school.mine(TEACHER)["batches"]

    for body in (school.status(BATCH), past, listed):
        assert {each["essay_id"]: each["filename"] for each in body["essays"]} == NAMES
    assert {each: school.analysis(each)["file"]["filename"] for each in NAMES} == NAMES


@pytest.mark.usefixtures("recorded")
def test_pages_and_downloads_show_a_name_as_it_was_written(school: School) -> None:
    page = school.api.get(f"/batches/{BATCH}", Cookie=cookie())
    essay = school.api.get("/essays/e1", Cookie=cookie())
    table = school.api.get(f"/batches/{BATCH}/essays.csv", Cookie=cookie())
    sheet = school.api.get(f"/batches/{BATCH}/essays.xlsx", Cookie=cookie())

    assert SHOWN in page.text
    assert SHOWN in essay.text
    assert LATIN_1 in page.text
    rows = {
        row["essay_id"]: row["file_name"]
        for row in csv.DictReader(io.StringIO(table.content.decode("utf-8-sig")))
    }
    assert rows == NAMES | {
        "e3": "'=1+1.docx"
    }  # no spreadsheet takes it for a formula, although it was hidden
    with zipfile.ZipFile(io.BytesIO(sheet.content)) as parts:
        assert SHOWN in parts.read("xl/sharedStrings.xml").decode()
