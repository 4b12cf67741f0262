"""One position, one answer: the same bytes from a kept answer, a new process, another cut of the log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from domain.aggregate import DomainEvent
from tests.support.assessing import PREFIX, app_on, assessors_on
from tests.support.http import API_KEY, Api, client_of
from tests.support.judging import Job, round_robin
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain
from tests.support.role_process import Installation

ESSAYS = [f"essay-{number:02}" for number in range(1, 13)]
JUDGES = [f"teacher-{number:04}" for number in range(7, 11)]
PATHS = [
    *("164/detailed", "164/detailed?limit=7&outcome=failed", "164/detailed?cursor=40&limit=1000"),
    *(f"164/detailed.csv?table={table}" for table in ("items", "matrix", "judges", "decisions")),
    *("b1/summary", "b1/summary.csv"),
]
Answers = dict[str, tuple[str, bytes]]


def judging() -> list[DomainEvent]:
    """Return the events of two jobs of one batch, some of them superseded."""
    job, other = Job(), Job("165")
    return [
        *round_robin(job, ESSAYS, JUDGES),
        job.fails("essay-01", "essay-02"),
        job.decides("essay-02", "essay-01", request="request-00001"),
        job.ends(*ESSAYS, metadata={"b": 1, "a": [0.1, 2**65]}),
        *round_robin(other, ESSAYS[:3], ["only"]),
        other.decides("apart-1", "apart-2", judge="only"),
    ]


@pytest.fixture(scope="module")
def judged(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database in which the judging is projected."""
    with fresh_database(postgres_server.url) as url:
        Chain(url).project(judging())
        yield url


def asked(api: Api) -> Answers:
    answers = {path: api.get(f"{PREFIX}/{path}") for path in PATHS}
    assert {answer.status_code for answer in answers.values()} == {200}
    return {path: (answer.headers["ETag"], answer.content) for path, answer in answers.items()}


@pytest.fixture(scope="module")
def expected(judged: str) -> Answers:
    """The answers of an app that keeps none."""
    with client_of(app_on(judged, kept_bytes=0)) as api:
        return asked(api)


def test_kept_answers_are_the_computed_ones(judged: str, expected: Answers) -> None:
    with client_of(app_on(judged)) as api:
        assert asked(api) == expected
        assert asked(api) == expected


def test_other_processes_give_the_same_bytes(judged: str, expected: Answers, tmp_path: Path) -> None:
    with Installation(judged, "", tmp_path) as ras:
        for process in [ras.start_afresh("serve-assessments") for _ in range(2)]:
            process.wait_until_ready()
            headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": "result_aggregator_service"}
            with httpx.Client(base_url=process.url, headers=headers, timeout=30) as client:
                for path, (etag, content) in expected.items():
                    answer = client.get(f"{PREFIX}/{path}")
                    assert (answer.headers["ETag"], answer.content) == (etag, content)
            code = process.terminate()
            assert (code, "Traceback" in process.output) == (0, False)


def test_how_the_log_was_cut_makes_no_difference(
    postgres_server: PostgresServerUnderTest, expected: Answers
) -> None:
    with fresh_database(postgres_server.url) as url:
        chain = Chain(url)
        events = judging()
        for size in (1, 1, 50, 3, 200, len(events)):
            part, events = events[:size], events[size:]
            chain.project(part)
        with client_of(app_on(url)) as api:
            assert asked(api) == expected


def test_a_later_event_makes_another_answer_and_an_earlier_position_another_etag(
    postgres_server: PostgresServerUnderTest,
) -> None:
    with fresh_database(postgres_server.url) as url, assessors_on(url) as assessors:
        job = Job()
        assessors.hear(round_robin(job, ESSAYS[:4], JUDGES))
        before = assessors.api.get(f"{PREFIX}/164/detailed")
        assessors.hear([job.decides("essay-01", "essay-02")])
        after = assessors.api.get(f"{PREFIX}/164/detailed", If_None_Match=before.headers["ETag"])

        assert after.status_code == 200
        assert after.json()["counts"]["decisions"] == before.json()["counts"]["decisions"] + 1


def test_an_answer_is_of_one_moment_while_judges_go_on(postgres_server: PostgresServerUnderTest) -> None:
    """Events come one a transaction while many ask: what is told together belongs together."""
    with fresh_database(postgres_server.url) as url, assessors_on(url, kept_bytes=1_000_000) as assessors:
        job = Job()
        events = list(round_robin(job, ESSAYS, JUDGES[:2]))
        assessors.hear(events[:1])
        judges = threading.Thread(target=lambda: [assessors.chain.project([event]) for event in events[1:]])
        judges.start()
        seen: set[int] = set()
        while judges.is_alive() or len(events) not in seen:
            headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": "result_aggregator_service"}
            paths = [f"{PREFIX}/164/detailed?limit=1000"] * 4 + [f"{PREFIX}/b1/summary"] * 2
            for answer in assessors.api.send_together([("GET", path, headers) for path in paths]):
                assert answer.status_code == 200
                body = answer.json()
                told = body["jobs"][0] if "jobs" in body else body
                position = told["provenance"]["position"]
                seen.add(position)
                assert position == told["counts"]["decisions"] == told["provenance"]["decisions_counted"]
                if "decisions" in told:
                    assert [each["provenance"]["position"] for each in told["decisions"]] == [
                        *range(1, position + 1)
                    ]
                    assert sum(pair[2] for pair in told["matrix"]["pairs"]) == position
        judges.join()

    assert len(seen) > 1


def test_who_asks_for_the_same_at_once_waits_for_one_computation(judged: str, expected: Answers) -> None:
    with client_of(app_on(judged)) as api:
        headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": "result_aggregator_service"}
        answers = api.send_together([("GET", f"{PREFIX}/164/detailed", headers)] * 12)

    assert {answer.content for answer in answers} == {expected["164/detailed"][1]}
