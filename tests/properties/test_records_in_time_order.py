"""Records are handed out in the order of their times, and whatever the times are, all of them are."""

from __future__ import annotations

from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from application.topics import INPUT_TOPICS
from infrastructure.intake.micro_batches import micro_batches
from infrastructure.intake.time_order import HeldRecords, moment_of

NOON_MS: Final = 1_770_000_000_000
TRUE_TIMES: Final = st.integers(NOON_MS, NOON_MS + 20)
ANY_TIMES: Final = TRUE_TIMES | st.sampled_from([-1, 0, 1, NOON_MS * 1000, 2**62, NOON_MS - 10**9])


def log(number: int, times: list[int]) -> list[ConsumerRecord]:
    """Return what lies in one partition, one record for each time."""
    topic, partition = INPUT_TOPICS[number % len(INPUT_TOPICS)], number // len(INPUT_TOPICS)
    return [
        ConsumerRecord(topic, partition, offset, time, 0, None, b"{}", None, 0, 2, ())
        for offset, time in enumerate(times)
    ]


def place(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)


class Reader:
    """Reads logs in portions that the test draws, and hands out by time."""

    def __init__(self, logs: list[list[ConsumerRecord]]) -> None:
        self._unread = {place(records[0]): list(records) for records in logs if records}
        self._held = HeldRecords()
        self.out: list[ConsumerRecord] = []

    @property
    def behind(self) -> list[TopicPartition]:
        """The partitions of which there is more than was read."""
        return [partition for partition, records in self._unread.items() if records]

    def read(self, number: int, count: int) -> None:
        """Read on in the partition whose turn it is."""
        if not (behind := self.behind):
            return
        partition = behind[number % len(behind)]
        portion, self._unread[partition] = self._unread[partition][:count], self._unread[partition][count:]
        self._held.add(partition, portion, portion)

    def hand_out(self, most: int) -> None:
        """Hand out, and check that only a partition of which nothing is held can prevent it."""
        held = set(self._held.partitions)
        released = self._held.release(most, behind=self.behind)
        merged = [r for batch in micro_batches(released, max_bytes=10**9) for r in batch]
        assert len(merged) <= most
        assert all(released.values())
        assert merged or not held or set(self.behind) - held, "something held prevents all from going"
        self.out += merged

    def finish(self) -> None:
        """Read the rest and hand it out."""
        while self.behind:
            self.read(0, 3)
            self.hand_out(5)
        while self._held.partitions:
            self.hand_out(7)


STEPS: Final = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(1, 9)), max_size=40)


@given(st.lists(st.lists(ANY_TIMES, max_size=12), max_size=10), STEPS)
def test_whatever_the_times_are_each_record_goes_once_and_each_partition_in_its_order(
    times: list[list[int]], steps: list[tuple[int, int, int]]
) -> None:
    logs = [log(number, each) for number, each in enumerate(times)]
    reader = Reader(logs)
    for number, count, most in steps:
        reader.read(number, count)
        reader.hand_out(most)
    reader.finish()

    for records in logs:
        mine = [r for r in reader.out if records and place(r) == place(records[0])]
        assert mine == records


@given(st.lists(st.lists(TRUE_TIMES, max_size=12).map(sorted), max_size=10), STEPS)
def test_where_each_partition_is_in_order_so_is_the_whole(
    times: list[list[int]], steps: list[tuple[int, int, int]]
) -> None:
    reader = Reader([log(number, each) for number, each in enumerate(times)])
    for number, count, most in steps:
        reader.read(number, count)
        reader.hand_out(most)
    reader.finish()

    moments = [moment_of(record) for record in reader.out]
    assert moments == sorted(moments)
