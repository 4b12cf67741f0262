"""What operators see of the messages that were put aside: every byte, where it lay, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection

from application import topics
from domain.batch_events import MessageDrained, MessageParked
from domain.dead_letters import (
    PARKED,
    DeadLetterDiscarded,
    DeadLetterReplaced,
    DeadLetterRetried,
    MessageDeadLettered,
    RetryOutcome,
)
from projections.dead_letters import dead_letters, letters
from tests.golden.expected_events import EXPECTED
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import Ingestion, dead_letter, intake_of
from tests.support.read_models import numbered, project, recorded_in, rows
from tests.support.upstream import RECEIVED_AT, scenario

LETTER = EXPECTED[MessageDeadLettered.topic]
WAITING = EXPECTED["ras.batch.message-parked.v1"]


def test_a_dead_letter_is_shown_with_every_byte(connection: Connection) -> None:
    store = FakeEventStore()
    put_aside = dead_letter(topics.SPELLCHECK_RESULTS, partition=7, value=b"\xff\x00 not json")
    Ingestion(store).insist([put_aside])

    project(connection, recorded_in(store), projections=[dead_letters])

    [row] = rows(connection, letters)
    assert (bytes(row["key"]), bytes(row["value"])) == (b"key\xff", b"\xff\x00 not json")
    assert row["headers"] == [["event_id", "AP8="], ["event_id", "YWdhaW4="]]
    assert (row["topic"], row["partition"], row["offset"]) == (topics.SPELLCHECK_RESULTS, 7, 0)
    assert (row["reason"], row["position"], row["received_at"]) == ("not_json", 1, RECEIVED_AT)
    assert row["stream_id"] == "dead-letter-huleedu.essay.spellcheck.results.v1-7-0-1772870400000"
    assert row["detail"]


def test_a_message_that_waits_for_a_fix_is_shown_with_the_fault(connection: Connection) -> None:
    assert isinstance(WAITING, MessageParked)
    project(connection, numbered([WAITING]), projections=[dead_letters])

    [row] = rows(connection, letters)
    assert (row["reason"], row["detail"]) == (PARKED, "ZeroDivisionError: division by zero")
    assert row["stream_id"] == WAITING.originator_id
    assert bytes(row["key"]) == b"essay-a"
    assert bytes(row["value"]) == b'{"event_type": "x"}'


def test_a_tombstone_has_neither_key_nor_value(connection: Connection) -> None:
    assert isinstance(LETTER, MessageDeadLettered)
    project(connection, numbered([replace(LETTER, key=None, value=None)]), projections=[dead_letters])

    [row] = rows(connection, letters)
    assert (row["key"], row["value"], row["headers"]) == (None, None, [])


def test_what_postgresql_cannot_store_in_a_text_is_replaced_and_stops_nobody(connection: Connection) -> None:
    """The event keeps it as it came; a projection that failed on it would stand still for good."""
    assert isinstance(LETTER, MessageDeadLettered)
    assert isinstance(WAITING, MessageParked)
    project(
        connection,
        numbered(
            [
                replace(LETTER, detail="data.\x00: no", headers=(("na\x00me", "AA=="), (r"\u0000", ""))),
                replace(WAITING, reason="KeyError: '\x00'"),
            ]
        ),
        projections=[dead_letters],
    )

    first, second = rows(connection, letters)
    assert first["detail"] == "data.\N{REPLACEMENT CHARACTER}: no"
    assert first["headers"] == [["na\N{REPLACEMENT CHARACTER}me", "AA=="], [r"\u0000", ""]]
    assert second["detail"] == "KeyError: '\N{REPLACEMENT CHARACTER}'"


def test_every_malformed_message_is_either_in_or_here(connection: Connection) -> None:
    store = FakeEventStore()
    lines = list(scenario("malformed"))
    taken = Ingestion(store).insist([intake_of(line.message) for line in lines])
    project(connection, recorded_in(store), projections=[dead_letters])

    found = {row["offset"]: row["value"] for row in rows(connection, letters)}
    counted = sum(counts.dead_lettered for counts in taken.counts.values())
    assert len(found) == counted >= 34
    for line in lines:
        if line.number in found:
            assert found[line.number] == line.message.value


# What became of them.


def test_a_refused_retry_leaves_a_letter_open_and_notes_the_reason(connection: Connection) -> None:
    retried = EXPECTED[DeadLetterRetried.topic]
    assert isinstance(retried, DeadLetterRetried)
    again = replace(retried, attempt=2, originator_version=3, detail="another \x00")
    project(connection, numbered([LETTER, retried, again]), projections=[dead_letters], cuts=[1])

    [row] = rows(connection, letters)
    assert (row["state"], row["attempts"], row["changed_by"]) == ("open", 2, "operator-0001")
    assert row["note"] == "contract_violation: another \N{REPLACEMENT CHARACTER}"
    assert row["changed_at"] == retried.happened_at


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2)])
def test_a_letter_that_was_taken_in_or_discarded_says_so(
    connection: Connection, cuts: tuple[int, ...]
) -> None:
    refused, discarded = EXPECTED[DeadLetterRetried.topic], EXPECTED[DeadLetterDiscarded.topic]
    assert isinstance(refused, DeadLetterRetried)
    assert isinstance(discarded, DeadLetterDiscarded)
    other = "dead-letter-other-0-0-0"
    taken_in = replace(refused, originator_id=other, outcome=RetryOutcome.RECORDED, reason=None, detail=None)
    story = numbered([LETTER, refused, discarded, replace(LETTER, originator_id=other), taken_in])
    project(connection, story, projections=[dead_letters], cuts=cuts)

    first, second = rows(connection, letters)
    assert (first["state"], first["attempts"], first["note"]) == ("discarded", 1, "Sent by a test: «övning».")
    assert (second["state"], second["attempts"], second["note"]) == ("retried", 1, "recorded")


def test_a_letter_in_whose_place_a_corrected_message_was_ingested_says_so(connection: Connection) -> None:
    replaced = EXPECTED[DeadLetterReplaced.topic]
    assert isinstance(replaced, DeadLetterReplaced)
    project(connection, numbered([LETTER, replaced]), projections=[dead_letters])

    [row] = rows(connection, letters)
    assert (row["state"], row["changed_by"], row["note"]) == ("replaced", "operator-0001", replaced.why)


def test_of_the_messages_that_wait_in_a_stream_the_one_that_was_drained_says_so(
    connection: Connection,
) -> None:
    drained = EXPECTED[MessageDrained.topic]
    assert isinstance(drained, MessageDrained)
    waiting = [replace(WAITING, originator_version=version) for version in (11, 12)]
    project(connection, numbered([*waiting, drained]), projections=[dead_letters])

    states = {row["stream_version"]: (row["state"], row["note"]) for row in rows(connection, letters)}
    assert states == {11: ("drained", "recorded"), 12: ("open", None)}
