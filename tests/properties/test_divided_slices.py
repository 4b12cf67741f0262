"""However ingesters come, go, fall behind and learn late who has which slices, each message is ingested once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from application.aggregates import AggregateCache
from application.deciding import Intake
from application.ingest import IngestMicroBatch, Place
from application.intake_positions import Partition
from application.ports import StalePositionError
from domain.batch_events import NOTIFIED_EVENTS
from domain.slices import ALL_SLICES, SliceRange
from infrastructure.demo.stream import stream
from infrastructure.intake.own_messages import OwnMessages
from tests.support.accounts import check_streams_as_undisturbed
from tests.support.fake_store import FakeEventStore
from tests.support.ingesting import in_partitions, intake_of

_MESSAGES = list(stream(11, 8, class_sizes=(1, 8), disorder=0.2, repeats=0.1))
_PLACED = in_partitions(_MESSAGES)
_INTAKES = {(m.topic, m.partition, m.offset): intake_of(m) for m in _PLACED}
_MOST = 4

_LOGS: defaultdict[Partition, list[ConsumerRecord]] = defaultdict(list)
for _m in _PLACED:
    _LOGS[_m.topic, _m.partition].append(
        ConsumerRecord(_m.topic, _m.partition, _m.offset, _m.timestamp_ms, 0, _m.key, _m.value, 0, -1, -1, ())
    )


class _Ingester:
    """One of a group, without Kafka: it reads the logs from its positions on."""

    def __init__(self, store: FakeEventStore) -> None:
        self._use_case = IngestMicroBatch(store, AggregateCache(100))
        self._own = OwnMessages()
        self._positions: dict[Partition, int] = {}
        self._read: dict[Partition, int] = {}

    def own(self, slices: SliceRange) -> None:
        self._own.own(slices)
        self._use_case.forget()
        self._use_case.own(slices)
        self._seek()

    def work(self, most: int) -> None:
        """Read up to `most` records of each partition and ingest what is to be ingested of them."""
        if not self._positions:
            return
        intakes: list[Intake] = []
        reached: dict[Place, int] = {}
        passed: dict[Partition, tuple[int, str | None]] = {}
        for partition, log in _LOGS.items():
            records = log[self._read[partition] : self._read[partition] + most]
            if not records:
                continue
            self._read[partition] += len(records)
            own = self._own.among(TopicPartition(*partition), records)
            intakes += [_INTAKES[(*partition, record.offset)] for record in own]
            if own:
                reached[(*partition, own[-1].offset)] = records[-1].offset
            else:
                passed[partition] = records[-1].offset, self._own.mark_up_to(partition, records[-1].offset)
        try:
            self._use_case.take_in(intakes, self._positions, reached)
            self._use_case.pass_over(passed, self._positions)
        except StalePositionError:
            self._seek()

    def _seek(self) -> None:
        ranges = self._use_case.ranges(list(_LOGS))
        self._own.seek(ranges)
        self._positions = self._use_case.positions(list(_LOGS))
        self._read = {partition: position + 1 for partition, position in self._positions.items()}


_Divided = tuple[int, frozenset[int]]
_DIVIDED = st.tuples(st.integers(1, _MOST), st.frozensets(st.integers(0, _MOST - 1)))
"""Among how many, and who hears of it."""
_WORKS = st.tuples(st.integers(0, _MOST - 1), st.integers(1, 3))
"""Who, and how many records of each partition."""


@given(st.lists(st.tuples(st.booleans(), _DIVIDED, _WORKS), max_size=40))
def test_each_message_is_ingested_once(steps: Sequence[tuple[bool, _Divided, tuple[int, int]]]) -> None:
    store = FakeEventStore()
    ingesters = [_Ingester(store) for _ in range(_MOST)]
    for divides, (number, hearing), (who, most) in steps:
        if divides:
            for each in sorted(hearing):
                if each < number:
                    ingesters[each].own(ALL_SLICES.part(each, number))
        else:
            with suppress(StalePositionError):
                ingesters[who].work(most)
    ingesters[0].own(ALL_SLICES)
    for _ in range(2):
        ingesters[0].work(len(_MESSAGES))

    assert {partition: count.taken_in for partition, count in store.counts.items()} == {
        partition: len(log) for partition, log in _LOGS.items()
    }
    facts = [event for event in store.events if not isinstance(event, NOTIFIED_EVENTS)]
    origins = Counter(
        (e.originator_id, e.causation.topic, e.causation.partition, e.causation.offset) for e in facts
    )
    assert [origin for origin, times in origins.items() if times > 1] == []
    check_streams_as_undisturbed(store.events, _MESSAGES)
