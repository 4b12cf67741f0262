"""Messages that wait in their batch's stream for a fix of our own code."""

from __future__ import annotations

import pytest

from domain.batch import BatchAggregate
from domain.batch_events import MessageParked
from domain.parking import ParkableStream, UnreadableStream
from tests.support.given import STREAM, caused_by, given, minute, registered, replayed, spellchecked


def park(stream: ParkableStream, offset: int) -> None:
    """Park the message at `offset`."""
    stream.park(
        reason="our own fault",
        key="a2V5",
        value="dmFsdWU=",
        headers=(("event_id", "MQ=="),),
        happened_at=minute(3),
        causation=caused_by(offset),
    )


def test_a_batch_is_not_parked_until_a_message_waits() -> None:
    story = given(registered("e1"))
    states = [story.batch.is_parked]

    park(story.batch, 9)

    assert [*states, story.batch.is_parked] == [False, True]


def test_a_parked_message_keeps_its_bytes_and_decides_nothing() -> None:
    batch = BatchAggregate(STREAM)
    park(batch, 9)

    [parked] = batch.collect_events()
    assert isinstance(parked, MessageParked)
    assert (parked.reason, parked.key, parked.value) == ("our own fault", "a2V5", "dmFsdWU=")
    assert (parked.headers, parked.causation.offset) == ((("event_id", "MQ=="),), 9)
    assert replayed([parked]).is_parked
    assert replayed([parked]).counts == (0, 0, 0)


def test_messages_are_parked_in_the_order_of_their_arrival() -> None:
    story = given(registered("e1"), spellchecked("e1"))
    for offset in (30, 10, 20):
        park(story.batch, offset)

    parked = story.batch.collect_events()

    assert [event.causation.offset for event in parked] == [30, 10, 20]
    assert [event.originator_version for event in parked] == [3, 4, 5]


@pytest.mark.parametrize("version", [1, 12])
def test_a_stream_that_cannot_be_read_takes_messages_to_park_behind_its_last_version(version: int) -> None:
    stream = UnreadableStream(STREAM, version)
    assert stream.is_parked

    park(stream, 9)

    [parked] = stream.collect_events()
    assert (parked.originator_id, parked.originator_version) == (STREAM, version + 1)
