"""`ras dead-letters` and `ras parked` as an operator runs them: chosen, confirmed, done, told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from application import topics
from domain.batch import BatchAggregate, batch_stream_id
from infrastructure.postgres.schema import initialise
from tests.support.commands import ras
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import project_store

BY = ("--by", "operator-0001")


@pytest.fixture
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database with three letters, ids 1 to 3."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store:
            Ingestion(store).insist(
                [
                    dead_letter(topics.SPELLCHECK_RESULTS),
                    dead_letter(topics.ASSESSMENT_RESULT, value=None),
                    dead_letter(topics.SPELLCHECK_RESULTS, partition=1),
                ]
            )
        project_store(url)
        yield url


def listed(url: str, *options: str) -> list[int]:
    """Return the ids that `list` shows."""
    project_store(url)
    return [row["position"] for row in ras("dead-letters", "list", *options, "--json", database_url=url).json]


def test_letters_are_listed_by_filter(url: str) -> None:
    assert listed(url) == [3, 2, 1]
    assert listed(url, "--topic", topics.SPELLCHECK_RESULTS, "--until", "2027-01-01T00:00:00Z") == [3, 1]
    table = ras("dead-letters", "list", "--reason", "no_value", database_url=url)
    assert topics.ASSESSMENT_RESULT in table.output
    assert topics.SPELLCHECK_RESULTS not in table.output


def test_letters_are_shown_with_their_bytes(url: str) -> None:
    assert ras("dead-letters", "show", "1", "--raw", database_url=url).output == "not json"
    assert "value          not json" in ras("dead-letters", "show", "1", database_url=url).output


def test_many_are_discarded_at_once_after_a_question(url: str) -> None:
    chosen = ("discard", "--topic", topics.SPELLCHECK_RESULTS, "--why", "sent by a test", *BY)
    unsure = ras("dead-letters", *chosen, database_url=url, stdin="n\n")
    silent = ras("dead-letters", *chosen, database_url=url)
    assert (unsure.exit_code, silent.exit_code) == (1, 1)
    assert "Nothing was changed." in unsure.errors
    assert listed(url) == [3, 2, 1]

    sure = ras("dead-letters", *chosen, database_url=url, stdin="y\n")

    assert sure.exit_code == 0
    assert "Discard 2 dead letters for good?" in sure.errors
    assert sure.output == "2 dead letters discarded: 2 discarded.\n"
    assert listed(url) == [2]
    assert listed(url, "--state", "discarded") == [3, 1]


def test_letters_are_settled_by_the_ids_that_they_carry(url: str) -> None:
    with opened_store(url) as store:
        values = [b'{"data": {"entity_id": "essay-0001"', b'{"data": {"parent_id": "batch-0001"']
        Ingestion(store).insist(
            [
                dead_letter(topics.SPELLCHECK_RESULTS, partition=7 + n, value=value)
                for n, value in enumerate(values)
            ]
        )
    project_store(url)
    [by_essay] = listed(url, "--essay", "essay-0001")

    none = ras("dead-letters", "retry", "--batch", "batch-0002", "--yes", database_url=url)
    tried = ras("dead-letters", "retry", "--batch", "batch-0001", "--yes", database_url=url)
    gone = ras("dead-letters", "discard", "--essay", "essay-0001", "--why", "w", "--yes", database_url=url)
    both = ras("dead-letters", "retry", "1", "--batch", "batch-0001", "--yes", database_url=url)

    assert none.output == "There are no such dead letters.\n"
    assert tried.output.startswith("1 dead letter retried: 1 refused.")
    assert gone.output == "1 dead letter discarded: 1 discarded.\n"
    assert listed(url, "--state", "discarded") == [by_essay]
    assert (both.exit_code, "--batch, --essay" in both.errors.replace("\n", " ")) == (2, True)


def test_a_retry_that_is_refused_again_is_told_and_fails(url: str) -> None:
    ran = ras("dead-letters", "retry", "1", "3", "--yes", *BY, "--json", database_url=url)

    assert ran.exit_code == 1
    assert '"counts":{"refused":2}' in ran.output
    assert listed(url) == [3, 2, 1]


def test_a_corrected_message_replaces_a_letter(url: str, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.json"
    corrected.write_bytes(intakes_of(messages_of(small_batch()))[0].message.value or b"")
    command = ("dead-letters", "replace", "1", "--why", "it was not JSON", *BY)

    refused = ras(*command, "-", "--yes", database_url=url, stdin="still not json")
    assert (refused.exit_code, refused.output) == (1, "")
    assert refused.errors.startswith("ras: The message in - is refused: not_json")
    assert "The dead letter stays open." in refused.errors
    missing = ras(*command, str(tmp_path / "no such"), "--yes", database_url=url)
    assert (missing.exit_code, "No such file" in missing.errors) == (1, True)
    unsure = ras(*command, str(corrected), database_url=url, stdin="n\n")
    assert (unsure.exit_code, "Nothing was changed." in unsure.errors) == (1, True)
    # The letter's topic is that of spellchecks; a registration does not fulfil its contract.
    other = ras(*command, str(corrected), "--yes", database_url=url)
    assert (other.exit_code, "contract_violation" in other.errors) == (1, True)
    assert listed(url) == [3, 2, 1]

    [spellcheck, *_] = [
        intake.message.value
        for intake in intakes_of(messages_of(small_batch()))
        if intake.message.topic == topics.SPELLCHECK_RESULTS
    ]
    corrected.write_bytes(spellcheck or b"")
    replaced = ras(*command, str(corrected), "--yes", database_url=url)

    assert replaced.output == "Dead letter 1 is replaced: the corrected message was recorded.\n"
    assert listed(url) == [3, 2]
    assert listed(url, "--state", "replaced") == [1]
    again = ras(*command, str(corrected), "--yes", database_url=url)
    assert (again.exit_code, "A corrected message was ingested in its place" in again.errors) == (1, True)


def test_a_settled_letter_is_not_possible_again(url: str) -> None:
    ras("dead-letters", "discard", "1", "--why", "w", "--yes", database_url=url)
    ran = ras("dead-letters", "retry", "1", "--yes", database_url=url)

    assert ran.exit_code == 1
    assert "1: not possible: The message was discarded." in ran.output


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["dead-letters", "retry"], 2, "name letters by their ids, or choose by"),
        (["dead-letters", "retry", "1", "--all"], 2, "name letters by their ids, or choose by"),
        (["dead-letters", "discard", "1"], 2, "say why"),
        (["dead-letters", "discard", "1", "--why", "a\nb"], 2, "say why"),
        (["dead-letters", "retry", "1", "--by", " "], 2, "--by"),
        (["dead-letters", "retry", "99", "--yes"], 1, "There is no dead letter 99"),
        (["dead-letters", "retry", "--reason", "parked"], 2, "ras parked drain"),
        (["dead-letters", "retry", "--reason", "luck"], 2, "is no reason"),
        (["dead-letters", "list", "--state", "luck"], 2, "is no state"),
        (["dead-letters", "list", "--since", "yesterday"], 2, "is no time"),
        (
            ["dead-letters", "list", "--topic", "nosuch"],
            2,
            f"is no topic; there are {topics.INPUT_TOPICS[0]}, ",
        ),
        (["dead-letters", "discard", "--topic", "nosuch", "--why", "w", "--yes"], 2, "is no topic"),
        (["parked", "drain", "nosuch", "--yes"], 1, "Nothing is recorded of 'nosuch'; `ras parked list`"),
        (["parked", "drain", "batch-nosuch", "--yes"], 1, "Nothing is recorded of 'batch-nosuch'"),
        (["parked", "drain", "assessment-nosuch", "--yes"], 1, "Nothing is recorded of"),
        (["dead-letters", "show", "99"], 1, "There is no dead letter 99"),
        (["parked", "drain", "", "--yes"], 1, "A batch has an id"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_what_makes_no_sense_is_a_sentence_and_changes_nothing(
    url: str, arguments: list[str], exit_code: int, sentence: str
) -> None:
    with probe(url) as database:
        before = database.log()
        ran = ras(*arguments, database_url=url)

        assert (ran.exit_code, ran.output) == (exit_code, "")
        assert sentence in " ".join(ran.errors.replace("│", " ").split())
        assert "Traceback" not in ran.errors
        assert database.log() == before


def test_parked_messages_are_listed_and_drained(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = small_batch("sick")

    def fail(_batch: BatchAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    with monkeypatch.context() as patch, opened_store(url) as store:
        patch.setattr(BatchAggregate, "record_spellcheck", fail)
        Ingestion(store).insist(intakes_of(messages_of(script)))
    project_store(url)
    assert "KeyError: 'bug'" in ras("parked", "list", database_url=url).output
    parked = ras("parked", "list", "--json", database_url=url).json
    refused = ras("parked", "drain", script.batch_id, database_url=url)
    assert (refused.exit_code, "Nothing was changed." in refused.errors) == (1, True)

    ran = ras("parked", "drain", script.batch_id, "--yes", *BY, "--json", database_url=url).json

    [result] = ran.values()
    assert (sum(result["outcomes"].values()), result["left"]) == (parked[0]["waiting"], 0)
    project_store(url)
    assert ras("parked", "list", database_url=url).output == "Nothing is parked.\n"
    assert ras("parked", "drain", database_url=url).output == "Nothing is parked.\n"
    for name in (script.batch_id, batch_stream_id(script.batch_id)):
        again = ras("parked", "drain", name, "--yes", *BY, database_url=url)
        assert again.output == f"{batch_stream_id(script.batch_id)}: 0 ingested, 0 left.\n"
