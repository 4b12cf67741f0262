"""Of every partition an ingester hands on the messages of its slices: each message is one ingester's own."""

from __future__ import annotations

from collections import Counter

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from application.intake_positions import IntakePosition
from domain.slices import ALL_SLICES, SLICES, SliceRange, slice_of
from infrastructure.demo.stream import stream
from infrastructure.intake.incoming import incoming, raw
from infrastructure.intake.own_messages import OwnMessages, ReadAgainError
from infrastructure.intake.shares import owner_of
from infrastructure.kafka.unreadable_batches import WRONG_CHECKSUM, UnreadableRecord

_PARTITION = TopicPartition("some-topic", 3)
_PLACE = ("some-topic", 3)
_NOTHING_NAMED = [None, b"", b"{", b"\xff", b'{"data":{}}', b'{"data":{"batch_id":7}}']


def _record(offset: int, value: bytes | None) -> ConsumerRecord:
    return ConsumerRecord(*_PARTITION, offset, 1_764_000_000_000, 0, None, value, 0, -1, -1, ())


def _of_batch(offset: int, batch_id: str) -> ConsumerRecord:
    return _record(offset, b'{"data":{"batch_id":"%s"}}' % batch_id.encode())


def _owned(slices: SliceRange) -> OwnMessages:
    own = OwnMessages()
    own.own(slices)
    return own


def _batch_in(slices: SliceRange) -> str:
    return next(name for n in range(10_000) if slices.holds(slice_of(name := f"batch-{n}")))


@pytest.mark.parametrize("number", [1, 2, 3, 7, 1024])
def test_each_message_is_handed_on_by_one_of_any_number(number: int) -> None:
    values = [*_NOTHING_NAMED, *(m.value for m in stream(5, 20, class_sizes=(1, 8), repeats=0.2))]
    records = [_record(offset, value) for offset, value in enumerate(values)]

    handed_on = Counter(
        record.offset
        for part in range(number)
        for record in _owned(ALL_SLICES.part(part, number)).among(_PARTITION, records)
    )

    assert handed_on == Counter(range(len(records)))


def test_the_messages_of_a_batch_are_handed_on_by_the_same_one_in_their_order() -> None:
    records = [_record(n, m.value) for n, m in enumerate(stream(6, 20, class_sizes=(8,), disorder=0.3))]
    owners = {record.offset: owner_of(record.value) for record in records}

    parts = [_owned(ALL_SLICES.part(part, 4)).among(_PARTITION, records) for part in range(4)]

    assert min(map(len, parts)) > 0
    for part in parts:
        assert [record.offset for record in part] == sorted(record.offset for record in part)
    batches = [{owners[record.offset] for record in part} for part in parts]
    assert sum(map(len, batches)) == len(set(owners.values()))


def test_what_one_range_is_past_is_left_out_until_all_are_at_the_same_place() -> None:
    half, rest = ALL_SLICES.part(0, 2), ALL_SLICES.part(1, 2)
    first, second = _batch_in(half), _batch_in(rest)
    own = _owned(ALL_SLICES)
    own.seek({_PLACE: (IntakePosition(half, 3), IntakePosition(rest, 1))})
    records = [_of_batch(offset, first if offset % 2 else second) for offset in range(2, 8)]

    assert [record.offset for record in own.among(_PARTITION, records)] == [2, 4, 5, 6, 7]
    assert len(own.among(_PARTITION, [_of_batch(8, first), _of_batch(9, second)])) == 2


def test_the_message_at_the_position_is_handed_on_to_be_recognised_once_whoever_ingested_it() -> None:
    half, rest = ALL_SLICES.part(0, 2), ALL_SLICES.part(1, 2)
    own = _owned(half)
    foreign = _batch_in(rest)
    own.seek({_PLACE: (IntakePosition(half, 5, "5/x"),)}, {_PLACE: 5})

    assert [r.offset for r in own.among(_PARTITION, [_of_batch(5, foreign), _of_batch(6, foreign)])] == [5]
    own.seek({_PLACE: (IntakePosition(half, 5, "5/x"),)})
    assert own.among(_PARTITION, [_of_batch(5, foreign)]) == []


@pytest.mark.parametrize("slices", [ALL_SLICES, ALL_SLICES.part(0, 2), ALL_SLICES.part(1, 2)])
def test_a_wrong_checksum_is_believed_when_it_is_read_again(slices: SliceRange) -> None:
    own = _owned(slices)
    damaged = UnreadableRecord(
        *_PARTITION, 6, -1, 0, None, b"raw", None, -1, 3, (), fault=f"{WRONG_CHECKSUM} It spans offset 6."
    )
    records = [_of_batch(5, _batch_in(slices)), damaged, _of_batch(7, _batch_in(slices))]

    with pytest.raises(ReadAgainError):
        own.among(_PARTITION, records)
    own.seek({})
    assert [r.offset for r in own.among(_PARTITION, records) if r is not damaged] == [5, 7]


def test_the_last_message_left_to_others_is_remembered_for_the_position() -> None:
    own = _owned(ALL_SLICES.part(0, 2))
    foreign = _of_batch(7, _batch_in(ALL_SLICES.part(1, 2)))
    own.among(_PARTITION, [_of_batch(6, _batch_in(ALL_SLICES.part(0, 2))), foreign])

    assert own.mark_up_to(_PLACE, 6) is None
    assert own.mark_up_to(_PLACE, 7) == incoming(raw(foreign)).mark
    own.seek({})
    assert own.mark_up_to(_PLACE, 7) is None


def test_parts_follow_each_other_and_are_as_good_as_equal() -> None:
    for number in (1, 2, 3, 5, 7, 100, 1023, 1024):
        parts = [ALL_SLICES.part(part, number) for part in range(number)]
        assert [part.first for part in parts] == [0, *(part.end for part in parts[:-1])]
        assert parts[-1].end == SLICES
        widths = {part.end - part.first for part in parts}
        assert max(widths) - min(widths) <= 1
