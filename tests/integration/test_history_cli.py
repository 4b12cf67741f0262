"""`ras history` and `ras explain` as an operator runs them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.commands import ras
from tests.support.given import assessed, registered, spellcheck_failed, spellchecked
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import school_on

ESSAYS = [f"e{number:04}" for number in range(120)]


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database with a small batch, ready, and a larger one under way."""
    with fresh_database(postgres_server.url) as url, school_on(url) as school:
        school.hear(
            "small",
            registered("e1", "e2"),
            spellchecked("e1"),
            spellcheck_failed("e2"),
            assessed("e1"),
            received=[0, 10, 11, 30],
        )
        school.hear("large", registered(*ESSAYS), *(spellchecked(essay) for essay in ESSAYS[:100]))
        yield url


def test_history_is_a_table_to_read(url: str) -> None:
    ran = ras("history", "small", database_url=url)

    assert ran.exit_code == 0
    assert "Essay e2 failed its spellcheck." in ran.output
    assert "upstream/0/2" in ran.output
    assert "event-2" in ran.output


def test_history_of_a_large_batch_is_counted_and_shown_in_part_or_whole(url: str) -> None:
    some = ras("history", "large", "--json", database_url=url).json
    every = ras("history", "large", "--all", "--json", database_url=url).json
    table = ras("history", "large", database_url=url)

    assert (len(some["events"]), some["count"]) == (50, 101)
    assert some["counts"] == {"ras.batch.registered.v1": 1, "ras.batch.essay-spellchecked.v1": 100}
    assert [event["version"] for event in every["events"]] == list(range(1, 102))
    assert "… and 51 more; --all shows them." in table.output


def test_as_of_a_time_shows_what_was_known_and_how_the_batch_stood(url: str) -> None:
    then = ras("history", "small", "--as-of", "2026-03-07T08:29:00Z", database_url=url)
    known_now = ras(
        "history", "small", "--as-of", "2026-03-07T08:29:00Z", "--by", "happened", "--json", database_url=url
    ).json

    assert "the batch was processing: 0 of 2 essays done, 1 failed." in then.output
    assert "RAS announced" not in then.output
    assert known_now["status"]["overall_status"] == "completed_with_failures"


def test_explain_says_why(url: str) -> None:
    ran = ras("explain", "large", database_url=url)

    assert ran.exit_code == 0
    assert "The batch is not ready: 120 of 120 essays still lack a result" in ran.output
    assert "20 essays without a result in spellcheck: e0100, e0101," in ran.output
    assert "and 10 more." in ran.output
    assert "Awaited: 1 assessment result from huleedu.assessment.result.published.v1" in ran.output
    body = ras("explain", "large", "--all", "--json", database_url=url).json
    assert body["phases"][0]["missing"] == {"count": 20, "essay_ids": ESSAYS[100:]}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["history", "unknown"], 1, "Nothing is recorded of a batch of this id."),
        (["explain", "unknown"], 1, "Nothing is recorded of a batch of this id."),
        (["history", "small", "--as-of", "yesterday"], 2, "is no time: write it as RFC 3339 says"),
        (["history", "small", "--as-of", "2026-03-07T08:00:00"], 2, "is no time: write it as RFC 3339 says"),
        (["history", "small", "--by", "luck"], 2, "luck"),
        (["history", "small", "--by", "happened"], 2, "--by: goes with --as-of"),
        (["history", "small", "--as-of", "9999-12-31T23:59:59-10:00"], 2, "must be of the years 1 to 9999"),
        (["history", "small", "--as-of", "2020-01-01T00:00:00Z"], 1, "was recorded at 2026-03-07T08:00:00Z"),
        (["history"], 2, "BATCH"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(
    url: str, arguments: list[str], exit_code: int, sentence: str
) -> None:
    ran = ras(*arguments, database_url=url)

    assert (ran.exit_code, ran.output) == (exit_code, "")
    assert sentence in " ".join(ran.errors.replace("│", " ").split())
    assert "Traceback" not in ran.errors
