"""Open dead letters and parked messages are found by the ids of a batch and its essays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from application import topics
from application.carried_ids import carries_any
from application.messages import IncomingMessage
from application.put_aside import not_searched, put_aside, sentences
from application.queries import LetterFilter
from domain.batch import BatchAggregate
from infrastructure.postgres.schema import initialise
from infrastructure.queries import letters_by_id
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from tests.support.commands import ras
from tests.support.http import api
from tests.support.ingesting import Ingestion, intake_of, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import project_store

KNOWN = small_batch("known")
OTHER = small_batch("other")
ESSAY = KNOWN.essay_ids[1]
CUT_OFF = f'{{"event_id": "x", "data": {{"entity_id": "{ESSAY}", "sta'.encode()
OF_BATCH = orjson.dumps({"data": {"parent_id": KNOWN.batch_id}})
UNREGISTERED = orjson.dumps({"data": {"batch_id": "batch 4711"}})


def broken(offset: int, key: bytes | None, value: bytes | None) -> IncomingMessage:
    """Return a message of a partition that upstream's good messages do not use."""
    return IncomingMessage(topics.SPELLCHECK_RESULTS, 7, offset, 1_772_870_400_000, key, value)


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database with two batches, and letters: 3 carry an id of the known batch, 1 that of an unknown one."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        letters = [
            broken(0, None, CUT_OFF),
            broken(1, None, OF_BATCH),
            broken(2, KNOWN.batch_id.encode(), None),
            broken(3, None, orjson.dumps({"data": {"parent_id": KNOWN.batch_id + "0"}})),
            broken(4, None, UNREGISTERED),
        ]
        with opened_store(url) as store:
            Ingestion(store).insist([*intakes_of(messages_of(KNOWN, OTHER)), *map(intake_of, letters)])
        project_store(url)
        yield url


def offsets(url: str, *options: str) -> list[int]:
    """Return the offsets of the letters that `list` shows."""
    return [row["offset"] for row in ras("dead-letters", "list", *options, "--json", database_url=url).json]


def test_letters_are_listed_by_batch_and_by_essay(url: str) -> None:
    assert offsets(url, "--batch", KNOWN.batch_id) == [2, 1, 0]
    assert offsets(url, "--essay", ESSAY) == [0]
    assert offsets(url, "--batch", KNOWN.batch_id, "--reason", "no_value") == [2]
    assert offsets(url, "--batch", KNOWN.batch_id, "--limit", "1") == [2]
    assert offsets(url, "--batch", OTHER.batch_id) == []
    assert offsets(url, "--batch", "batch 4711") == [4]


@pytest.mark.parametrize(("most", "bytes_"), [(1, 1_000_000), (2000, 1), (2, 10)])
async def test_a_search_in_several_steps_finds_the_same(
    url: str, monkeypatch: pytest.MonkeyPatch, most: int, bytes_: int
) -> None:
    monkeypatch.setattr(letters_by_id, "MOST_LETTERS", most)
    monkeypatch.setattr(letters_by_id, "MOST_BYTES", bytes_)

    async def pages() -> list[list[int]]:
        reads = ReadConnections(url, size=1)
        queries, wanted = PostgresQueries(reads.rows), LetterFilter(state="open", batch=KNOWN.batch_id)
        found: list[list[int]] = []
        before: int | None = None
        try:
            while True:
                page = await queries.letters(wanted, limit=50, before=before)
                found.append([letter["offset"] for letter in page["dead_letters"]])
                if page["next_cursor"] is None:
                    return found
                assert not put_aside(KNOWN.batch_id, page)["complete"]
                before = int(page["next_cursor"])
        finally:
            await reads.close()

    found = await pages()

    assert [offset for page in found for offset in page] == [2, 1, 0]
    assert len(found) > 1


def test_explain_and_history_name_the_letters_and_the_command(url: str) -> None:
    [cut_off] = ras("dead-letters", "list", "--essay", ESSAY, "--json", database_url=url).json
    sentence = (
        f"Open dead letter {cut_off['position']} (not_json, {topics.SPELLCHECK_RESULTS}/7/0) carries an id of "
        f"this batch: `ras dead-letters show {cut_off['position']}`."
    )
    for command in ("explain", "history"):
        told = ras(command, KNOWN.batch_id, database_url=url)
        assert told.exit_code == 0
        assert sentence in told.output.splitlines()
        body = ras(command, KNOWN.batch_id, "--json", database_url=url).json
        assert [message["offset"] for message in body["put_aside"]["messages"]] == [2, 1, 0]
        assert "dead letter" not in ras(command, OTHER.batch_id, database_url=url).output
    assert sentence in ras("explain", KNOWN.batch_id, "--json", database_url=url).json["sentences"]


@pytest.mark.parametrize("command", ["explain", "history"])
def test_a_batch_whose_registration_is_a_dead_letter_is_explained_by_it(url: str, command: str) -> None:
    ran = ras(command, "batch 4711", database_url=url)

    assert ran.exit_code == 1
    assert "Nothing is recorded of a batch of this id. Open dead letter" in ran.errors


def test_readiness_names_the_letters_over_http(url: str) -> None:
    with api(url) as client:
        body = client.get(f"/internal/v1/batches/{KNOWN.batch_id}/readiness").json()
        unknown = client.get("/internal/v1/batches/batch%204711/readiness")

    assert [message["offset"] for message in body["put_aside"]["messages"]] == [2, 1, 0]
    assert body["put_aside"]["complete"] is True
    assert any(body["put_aside"]["messages"][0]["command"] in sentence for sentence in body["sentences"])
    assert unknown.status_code == 404
    assert "Open dead letter" in unknown.json()["detail"]


def test_operators_list_letters_by_id_over_http(url: str) -> None:
    def found(query: str) -> list[int]:
        answer = client.get(f"/internal/v1/ops/dead-letters?{query}", service="admin-dashboard-service")
        assert answer.status_code == 200, answer.text
        return [letter["offset"] for letter in answer.json()["dead_letters"]]

    with api(url) as client:
        assert found(f"batch={KNOWN.batch_id}") == [2, 1, 0]
        assert found(f"essay={ESSAY}") == [0]
        refused = client.get("/internal/v1/ops/dead-letters?batch=", service="admin-dashboard-service")
        assert refused.status_code == 400


def test_what_was_not_searched_names_the_command_that_searches_all() -> None:
    found = put_aside("batch 4711", {"dead_letters": [], "next_cursor": "7"})

    assert "`ras dead-letters list --batch='batch 4711'` searches all." in sentences(found)[0]
    assert "gone" in sentences(not_searched("b1", "The table is gone."))[0]


def test_parked_messages_are_named(
    postgres_server: PostgresServerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_batch: BatchAggregate, **_facts: Any) -> None:
        raise KeyError("bug")

    sick = small_batch("sick")
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with monkeypatch.context() as patch, opened_store(url) as store:
            patch.setattr(BatchAggregate, "record_spellcheck", fail)
            Ingestion(store).insist(intakes_of(messages_of(sick)))
        project_store(url)
        told = ras("explain", sick.batch_id, database_url=url).output
        messages = ras("explain", sick.batch_id, "--json", database_url=url).json["put_aside"]["messages"]

    assert {message["reason"] for message in messages} == {"parked"}
    for message in messages:
        assert f"Parked message {message['id']} (" in told
        assert f"`{message['command']}`" in told


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        (b'{"a": ["b1"]}', True),
        (b'{"b1": 1}', True),
        (b'"\\u0062\\u0031"', True),
        (b"{'batch_id': 'b1'}", True),
        (b"\xff b1.", True),
        (b'{"a": "b10"}', False),
        (b'{"a": "about b1"}', False),
        (b"xb1 b1-2", False),
        (b"[" * 100_000, False),
        (None, False),
    ],
)
def test_an_id_counts_as_a_whole(value: bytes | None, carried: bool) -> None:
    assert carries_any({"b1"}, None, value) is carried
