"""The tables of the assessment app as CSV."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from subprocess import run
from typing import Any

import orjson
import pytest

from domain.bradley_terry import METHOD_VERSION
from tests.support.assessing import PREFIX, Assessors, app_on, assessors_on, lines_of
from tests.support.http import client_of
from tests.support.judging import Job, round_robin
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

ESSAYS = [f"essay-{number:02}" for number in range(1, 8)]
JUDGES = ["teacher-0007", "teacher-0008"]
AWKWARD = '=1+1, "quoted"\r\n@ é'


@pytest.fixture(scope="module")
def assessors(postgres_server: PostgresServerUnderTest) -> Iterator[Assessors]:
    """An installation with a finished job of two judges, and an awkward one."""
    with fresh_database(postgres_server.url) as url, assessors_on(url) as running:
        job = Job("164", "b1")
        running.hear(
            [
                *round_robin(job, ESSAYS, JUDGES),
                job.fails(*ESSAYS[:2], judge=JUDGES[0]),
                job.ends(*ESSAYS),
            ]
        )
        awkward = Job("awkward", "b-awkward")
        running.hear([awkward.decides(AWKWARD, "-e2", judge="+judge", justification=AWKWARD)])
        yield running


def as_text(value: Any) -> str:
    """Return a JSON value as a cell."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def test_items_are_the_table_unless_another_is_asked_for(assessors: Assessors) -> None:
    lines, items = assessors.table("164/detailed.csv"), assessors.detailed("164")["items"]

    assert len(lines) == len(items)
    for line, item in zip(lines, items, strict=True):
        published = item.pop("published")
        assert {name: line[name] for name in item} == {name: as_text(value) for name, value in item.items()}
        assert line["published_letter_grade"] == published["letter_grade"]
        assert float(line["theta"]) == item["theta"]


def test_the_matrix_has_names(assessors: Assessors) -> None:
    lines, matrix = assessors.table("164/detailed.csv?table=matrix"), assessors.detailed("164")["matrix"]

    assert [(matrix["items"][a], matrix["items"][b], n, w, n - w) for a, b, n, w in matrix["pairs"]] == [
        (line["item_a"], line["item_b"], int(line["judged"]), int(line["a_wins"]), int(line["b_wins"]))
        for line in lines
    ]


def test_judges_have_their_agreement(assessors: Assessors) -> None:
    lines = assessors.table("164/detailed.csv?table=judges")

    assert [(line["judge"], line["decisions"], line["failures"]) for line in lines] == [
        ("teacher-0007", "21", "1"),
        ("teacher-0008", "21", "0"),
    ]
    assert all(int(line["shared_pairs"]) == 21 and float(line["rate"]) <= 1 for line in lines)


def test_decisions_are_what_the_command_reads(assessors: Assessors) -> None:
    answer = assessors.api.get(f"{PREFIX}/164/detailed.csv?table=decisions&outcome=decided")
    scored = run(
        [sys.executable, "-m", "infrastructure.cli", "bradley-terry", "--json", "-"],
        input=answer.content,
        capture_output=True,
        check=True,
    )

    theirs = {item["item"]: item for item in orjson.loads(scored.stdout)["items"]}
    for item in assessors.detailed("164")["items"]:
        assert {name: item[name] for name in theirs[item["item"]]} == theirs[item["item"]]


def test_a_failure_has_no_choice(assessors: Assessors) -> None:
    [line] = assessors.table("164/detailed.csv?table=decisions&outcome=failed")

    assert (line["chosen"], line["not_chosen"], line["winner"], line["error_code"]) == ("", "", "", "TIMEOUT")
    assert (line["essay_a_id"], line["judge"]) == ("essay-01", "teacher-0007")


def test_pages_of_decisions_are_linked(assessors: Assessors) -> None:
    path = "164/detailed.csv?table=decisions&limit=20"
    requests: list[str] = []
    while path:
        answer = assessors.api.get(f"{PREFIX}/{path}")
        requests += [line["request_id"] for line in lines_of(answer)]
        link = answer.headers.get("Link", "")
        assert not link or link.endswith('>; rel="next"')
        path = f"164/detailed.csv{link.removeprefix('<').partition('>')[0]}" if link else ""

    assert requests == [each["request_id"] for each in assessors.detailed("164")["decisions"]]
    assert len(requests) == 43


def test_the_summary_is_a_line_per_text(assessors: Assessors) -> None:
    lines, [job] = assessors.table("b1/summary.csv"), assessors.summary("b1")["jobs"]

    assert [line["item"] for line in lines] == [line["item"] for line in job["ranking"]]
    assert {line["batch_id"] for line in lines} == {"b1"}
    assert {line["ssr"] for line in lines} == {as_text(job["reliability"]["ssr"])}


def test_a_job_without_texts_has_a_line_in_the_summary(assessors: Assessors) -> None:
    assessors.hear([Job("csv-failures", "csv-failures").fails("e1", "e2")])

    [line] = assessors.table("csv-failures/summary.csv")

    assert (line["job_id"], line["state"], line["item"]) == ("csv-failures", "running", "")


def test_cells_that_a_spreadsheet_would_run_are_guarded(assessors: Assessors) -> None:
    [decision] = assessors.table("awkward/detailed.csv?table=decisions")

    assert (decision["judge"], decision["chosen"], decision["not_chosen"]) == (
        "'+judge",
        f"'{AWKWARD}",
        "'-e2",
    )
    assert decision["justification"] == f"'{AWKWARD}"
    assert float(assessors.table("awkward/detailed.csv")[1]["theta"]) < 0  # numbers are no formulas


@pytest.mark.parametrize("path", ["awkward/detailed.csv", "b-awkward/summary.csv"])
def test_a_byte_order_mark_comes_when_it_is_asked_for(assessors: Assessors, path: str) -> None:
    plain = assessors.api.get(f"{PREFIX}/{path}")
    marked = assessors.api.get(f"{PREFIX}/{path}?bom=true")

    assert marked.content == b"\xef\xbb\xbf" + plain.content
    assert marked.headers["ETag"] != plain.headers["ETag"]


def test_raw_tables_have_names_and_texts_as_they_are(assessors: Assessors) -> None:
    [decision] = assessors.table("awkward/detailed.csv?table=decisions&raw=true")
    answer = assessors.api.get(f"{PREFIX}/awkward/detailed.csv?raw=true")

    assert (decision["judge"], decision["chosen"], decision["not_chosen"]) == ("+judge", AWKWARD, "-e2")
    assert decision["justification"] == AWKWARD
    assert {line["item"] for line in lines_of(answer)} == {AWKWARD, "-e2"}
    assert answer.headers["Content-Disposition"] == 'attachment; filename="awkward-items.csv"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("TEXT/CSV; q=0.9, application/json;q=0.8", True),
        ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv;header=present", True),
        ("text/csv;q=0", False),
        ("text/*, */*;q=0.1", True),
        ("*/*", False),
        ("text/html,application/xhtml+xml", False),
        ("text/csv;q=much", False),
        ("", False),
    ],
)
def test_accept_chooses(assessors: Assessors, accept: str, is_csv: bool) -> None:
    for path in ("164/detailed", "b1/summary"):
        answer = assessors.api.get(f"{PREFIX}/{path}", Accept=accept)

        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("text/csv" if is_csv else "application/json")
        assert answer.headers["Vary"].split(", ") == ["Accept", "Accept-Encoding"]


def test_each_form_of_an_answer_has_an_etag_of_its_own(assessors: Assessors) -> None:
    paths = [
        *("164/detailed", "164/detailed?limit=3", "164/detailed?outcome=failed", "164/detailed?cursor=3"),
        *(f"164/detailed.csv?table={table}" for table in ("items", "matrix", "judges", "decisions")),
        *("b1/summary", "b1/summary.csv"),
    ]
    answers = {path: assessors.api.get(f"{PREFIX}/{path}") for path in paths}
    etags = {path: answer.headers["ETag"] for path, answer in answers.items()}

    assert len(set(etags.values())) == len(paths)
    for path, etag in etags.items():
        assert METHOD_VERSION in etag
        unchanged = assessors.api.get(f"{PREFIX}/{path}", If_None_Match=etag)
        assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_scaled_scores_and_boundaries_are_tables_with_the_numbers_of_the_json(assessors: Assessors) -> None:
    order = assessors.detailed("164")["items"]
    query = f"scale=0-100&standard={order[1]['item']}"
    scaled = assessors.detailed("164", f"?{query}")["scaled"]

    table = lines_of(assessors.api.get(f"{PREFIX}/164/detailed.csv?table=scaled&{query}"))

    assert [float(line["scaled"]) for line in table] == [item["scaled"] for item in scaled["items"]]
    assert [line["item"] for line in table] == [item["item"] for item in scaled["items"]]
    assert {line["meets_standard"] for line in table[:2]} == {"true"}
    for query, reason in (
        ("table=scaled", "The table scaled goes with scale, grades or standard."),
        ("table=boundaries&scale=0-100", "The table boundaries goes with grades."),
    ):
        refused = assessors.api.get(f"{PREFIX}/164/detailed.csv?{query}")
        assert (refused.status_code, refused.json()["detail"]) == (400, reason)


def test_names_in_the_table_of_scaled_scores_are_guarded_against_formulas(assessors: Assessors) -> None:
    job = Job("formula", "b-formula")
    assessors.hear([*round_robin(job, ["=1+1", "essay-01", "essay-02"], JUDGES), job.ends("=1+1")])
    address = f"{PREFIX}/formula/detailed.csv?table=scaled&scale=0-100"

    names = {line["item"] for line in lines_of(assessors.api.get(address))}
    raw = {line["item"] for line in lines_of(assessors.api.get(f"{address}&raw=true"))}

    assert (names, raw) == ({"'=1+1", "essay-01", "essay-02"}, {"=1+1", "essay-01", "essay-02"})


def test_the_share_of_random_pairs_and_the_order_of_names_are_settings(
    postgres_server: PostgresServerUnderTest,
) -> None:
    with fresh_database(postgres_server.url) as url, assessors_on(url) as running:
        job = Job("set", "b-set")
        running.hear([*round_robin(job, ESSAYS, ["teacher-ö", "teacher-z"]), job.ends(*ESSAYS)])
        usual = running.detailed("set")
        with client_of(app_on(url, next_pairs_random_share=1.0, name_locale="sv")) as api:
            other = api.get(f"{PREFIX}/set/detailed").json()
            asked = api.get(f"{PREFIX}/set/detailed?random_share=0.2&locale=en").json()

    assert {pair["reason"] for pair in usual["next_pairs"]} == {"information", "random"}
    assert {pair["reason"] for pair in other["next_pairs"]} == {"random"}
    assert [each["judge"] for each in other["judges"]] == ["teacher-z", "teacher-ö"]
    assert [each["judge"] for each in asked["judges"]] == ["teacher-ö", "teacher-z"]
    assert asked["next_pairs"] == usual["next_pairs"]
