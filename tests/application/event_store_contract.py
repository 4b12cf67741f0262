"""What every event store must do: one suite, run on the fake and on PostgreSQL.

A subclass gives the fixture `subject`, an empty store and a look behind its back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pytest
from eventsourcing.persistence import StoredEvent

from application.intake_positions import IntakePosition, Partition, Ranges, intake_position, lowest
from application.ports import (
    Advance,
    EventStorePort,
    IntakeCounts,
    StalePositionError,
    StreamConflictError,
    UnreadableEvents,
    UnstorableError,
)
from domain.aggregate import DomainEvent
from domain.batch import BatchAggregate, batch_stream_id
from domain.slices import ALL_SLICES, SliceRange
from infrastructure.eventstore.event_registry import event_codec
from tests.support.fake_store import random_text
from tests.support.given import Message, play, registered, slot_assigned, spellcheck_failed, spellchecked

PARTITION = ("some-topic", 0)
PLACE = intake_position(*PARTITION)
OTHER = ("other", 0)
HALF, REST = ALL_SLICES.part(0, 2), ALL_SLICES.part(1, 2)


class StoreUnderTest(Protocol):
    """A store, and what a test may see and do behind its back."""

    @property
    def store(self) -> EventStorePort: ...

    def log(self) -> list[tuple[int, str, int]]:
        """Return (notification id, stream, version) of every recorded event, in the order of the log."""

    def counts(self) -> Mapping[tuple[str, int], IntakeCounts]:
        """Return the counts of every topic-partition."""

    def put(self, stored: StoredEvent) -> None:
        """Record an event in whatever form."""

    def put_position(self, name: str, position: int) -> None:
        """Add a position."""


def recorded_by(*messages: Message, batch_id: str = "b1") -> list[DomainEvent]:
    """Return what a new batch records of `messages`."""
    return play(messages, BatchAggregate(batch_stream_id(batch_id))).collect_events()


def append(store: EventStorePort, events: Iterable[DomainEvent], *moves: Advance) -> None:
    """Append and move in a transaction of its own."""
    with store.transaction() as transaction:
        transaction.append(list(events), list(moves))


def ranges(
    store: EventStorePort, partition: Partition = PARTITION, slices: SliceRange = ALL_SLICES
) -> Ranges:
    """Claim `slices` of one partition, and return where they stand."""
    with store.transaction() as transaction:
        return transaction.claim([partition], slices)[partition]


def position(store: EventStorePort, partition: Partition = PARTITION) -> int:
    """Return one position, -1 where there is none."""
    return lowest(ranges(store, partition))


def loaded(store: EventStorePort, *stream_ids: str) -> Mapping[str, list[DomainEvent] | UnreadableEvents]:
    """Load in a transaction of its own."""
    with store.transaction() as transaction:
        return transaction.load(dict.fromkeys(stream_ids, 0), most=1000)


class CrashError(Exception):
    """The process ends here."""


def crash(store: EventStorePort, *moves: Advance) -> None:
    """Do all that a transaction can do, and end before it is committed."""
    with store.transaction() as transaction:
        transaction.claim([OTHER], ALL_SLICES)
        transaction.append(recorded_by(registered("e1"), batch_id="lost"), moves)
        transaction.count({("some-topic", 0): IntakeCounts(taken_in=1, recorded=1)})
        raise CrashError


class EventStoreContract:
    """The suite."""

    def test_what_was_appended_is_loaded_in_version_order(self, subject: StoreUnderTest) -> None:
        one = recorded_by(registered("e1"), slot_assigned("e1"), spellchecked("e1"))
        two = recorded_by(registered("e2"), batch_id="b2")
        append(subject.store, [*two, *one])

        assert loaded(subject.store, "batch-b1", "batch-b2") == {"batch-b1": one, "batch-b2": two}

    def test_a_stream_without_events_is_left_out(self, subject: StoreUnderTest) -> None:
        append(subject.store, recorded_by(registered("e1")))

        assert loaded(subject.store, "batch-b1", "batch-unknown").keys() == {"batch-b1"}
        assert loaded(subject.store) == {}

    def test_streams_are_read_on_from_any_version_and_by_stretches(self, subject: StoreUnderTest) -> None:
        one = recorded_by(registered("e1"), *(slot_assigned(f"e{n}") for n in range(4)))
        two = recorded_by(registered("e2"), batch_id="b2")
        append(subject.store, [*one, *two])
        with subject.store.transaction() as transaction:
            assert transaction.load({"batch-b1": 3, "batch-b2": 0}, most=10) == {
                "batch-b1": one[3:],
                "batch-b2": two,
            }
            assert transaction.load({"batch-b1": 1, "batch-b2": 0}, most=2) == {
                "batch-b1": one[1:3],
                "batch-b2": two,
            }
            assert transaction.load({"batch-b1": 5, "batch-unknown": 7}, most=2) == {}

    def test_what_others_commit_meanwhile_is_read_on_in_the_same_transaction(
        self, subject: StoreUnderTest
    ) -> None:
        events = recorded_by(registered("e1"), slot_assigned("e1"))
        append(subject.store, events[:1])
        with subject.store.transaction() as transaction:
            assert transaction.load({"batch-b1": 0}, most=10) == {"batch-b1": events[:1]}
            append(subject.store, events[1:])
            transaction.lock()
            assert transaction.load({"batch-b1": 1}, most=10) == {"batch-b1": events[1:]}

    def test_the_log_is_in_the_order_of_appending(self, subject: StoreUnderTest) -> None:
        one = recorded_by(registered("e1"), slot_assigned("e1"))
        two = recorded_by(registered("e2"), batch_id="b2")
        append(subject.store, [one[0], two[0], one[1]])

        log = subject.log()
        assert [(stream, version) for _, stream, version in log] == [
            ("batch-b1", 1),
            ("batch-b2", 1),
            ("batch-b1", 2),
        ]
        assert [notification_id for notification_id, _, _ in log] == [1, 2, 3]

    def test_events_that_were_encoded_before_are_appended_like_others(self, subject: StoreUnderTest) -> None:
        one, two = recorded_by(registered("é1")), recorded_by(registered("e2"), batch_id="b2")
        with subject.store.transaction() as transaction:
            transaction.append_rows(event_codec().rows_of([*one, *two]), [])
        with pytest.raises(StreamConflictError), subject.store.transaction() as transaction:
            transaction.append_rows(event_codec().rows_of(two), [])

        assert loaded(subject.store, "batch-b1", "batch-b2") == {"batch-b1": one, "batch-b2": two}

    def test_a_transaction_sees_what_it_appended(self, subject: StoreUnderTest) -> None:
        events = recorded_by(registered("e1"))
        with subject.store.transaction() as transaction:
            transaction.append(events, [])
            assert transaction.load({"batch-b1": 0}, most=1000) == {"batch-b1": events}

    def test_a_new_position_begins_at_the_start_and_stays(self, subject: StoreUnderTest) -> None:
        with subject.store.transaction() as transaction:
            new = (IntakePosition(ALL_SLICES, -1),)
            assert transaction.claim([PARTITION, OTHER], ALL_SLICES) == {PARTITION: new, OTHER: new}
        append(subject.store, [], Advance(PLACE, -1, 7))
        assert (position(subject.store), position(subject.store, OTHER)) == (7, -1)

    def test_events_and_positions_move_together(self, subject: StoreUnderTest) -> None:
        position(subject.store)
        append(subject.store, recorded_by(registered("e1")), Advance(PLACE, -1, 41))

        assert position(subject.store) == 41
        assert len(subject.log()) == 1

    def test_a_crash_in_the_transaction_leaves_nothing(self, subject: StoreUnderTest) -> None:
        position(subject.store)
        with pytest.raises(CrashError):
            crash(subject.store, Advance(PLACE, -1, 41))

        assert subject.log() == []
        assert subject.counts() == {}
        assert position(subject.store) == -1
        assert position(subject.store, OTHER) == -1

    def test_what_was_rolled_back_leaves_a_gap_in_the_log(self, subject: StoreUnderTest) -> None:
        with pytest.raises(CrashError):
            crash(subject.store)
        append(subject.store, recorded_by(registered("e1")))

        assert subject.log() == [(2, "batch-b1", 1)]

    def test_a_version_that_is_taken_is_a_conflict_and_nothing_is_written(
        self, subject: StoreUnderTest
    ) -> None:
        position(subject.store)
        append(subject.store, recorded_by(registered("e1")))
        other = recorded_by(registered("e9"), batch_id="b2")

        with pytest.raises(StreamConflictError, match="batch-b1"):
            append(subject.store, [*other, *recorded_by(registered("e2"))], Advance(PLACE, -1, 3))

        assert [stream for _, stream, _ in subject.log()] == ["batch-b1"]
        assert position(subject.store) == -1

    def test_a_position_that_somebody_else_moved_is_stale_and_nothing_is_written(
        self, subject: StoreUnderTest
    ) -> None:
        position(subject.store)
        append(subject.store, recorded_by(registered("e1")), Advance(PLACE, -1, 10))

        with pytest.raises(StalePositionError, match=f"{PLACE} is at 10, not -1"):
            append(subject.store, recorded_by(registered("e2"), batch_id="b2"), Advance(PLACE, -1, 12))

        assert len(subject.log()) == 1
        assert position(subject.store) == 10

    def test_a_mark_goes_with_its_position(self, subject: StoreUnderTest) -> None:
        position(subject.store)
        append(subject.store, [], Advance(PLACE, -1, 10, "10/one"))
        assert ranges(subject.store) == (IntakePosition(ALL_SLICES, 10, "10/one"),)

        with pytest.raises(StalePositionError):
            append(subject.store, [], Advance(PLACE, -1, 12, "12/another"))
        assert ranges(subject.store) == (IntakePosition(ALL_SLICES, 10, "10/one"),)

        append(subject.store, [], Advance(PLACE, 10, 20))
        assert ranges(subject.store) == (IntakePosition(ALL_SLICES, 20),)

    def test_slices_of_one_partition_are_divided_move_apart_and_are_joined(
        self, subject: StoreUnderTest
    ) -> None:
        position(subject.store)
        append(subject.store, [], Advance(PLACE, -1, 10, "10/one"))
        half, rest = intake_position(*PARTITION, HALF), intake_position(*PARTITION, REST)

        assert ranges(subject.store, slices=HALF) == (IntakePosition(HALF, 10, "10/one"),)
        assert ranges(subject.store, slices=REST) == (IntakePosition(REST, 10, "10/one"),)
        with pytest.raises(StalePositionError, match=f"{PLACE} is gone"):
            append(subject.store, [], Advance(PLACE, 10, 11))
        append(subject.store, [], Advance(half, 10, 14, "13/two"))
        assert ranges(subject.store) == (
            IntakePosition(HALF, 14, "13/two"),
            IntakePosition(REST, 10, "10/one"),
        )
        assert position(subject.store) == 10
        append(subject.store, [], Advance(rest, 10, 14, "11/three"))
        assert ranges(subject.store) == (IntakePosition(ALL_SLICES, 14, "13/two"),)
        append(subject.store, [], Advance(PLACE, 14, 15))

    def test_slices_are_divided_anywhere_and_none_is_lost(self, subject: StoreUnderTest) -> None:
        for number in range(5):
            [part] = ranges(subject.store, slices=ALL_SLICES.part(number, 5))
            append(
                subject.store,
                [],
                Advance(intake_position(*PARTITION, part.slices), -1, number, f"{number}/x"),
            )
        middle = ranges(subject.store, slices=SliceRange(300, 700))

        assert [(each.slices.first, each.slices.end, each.offset) for each in middle] == [
            (300, 409, 1),
            (409, 614, 2),
            (614, 700, 3),
        ]
        assert [each.offset for each in ranges(subject.store)] == [0, 1, 2, 3, 4]  # joined again

    def test_a_position_of_all_slices_that_an_early_release_added_is_believed(
        self, subject: StoreUnderTest
    ) -> None:
        for slices, to in ((HALF, 10), (REST, 4)):
            ranges(subject.store, slices=slices)
            append(subject.store, [], Advance(intake_position(*PARTITION, slices), -1, to))
        subject.put_position(PLACE, 7)

        assert ranges(subject.store) == (IntakePosition(HALF, 10), IntakePosition(REST, 7))
        assert ranges(subject.store, slices=REST) == (IntakePosition(REST, 7),)

    def test_a_log_that_begins_anew_does_so_for_the_slices_of_all(self, subject: StoreUnderTest) -> None:
        for slices in (HALF, REST):
            ranges(subject.store, slices=slices)
            append(subject.store, [], Advance(intake_position(*PARTITION, slices), -1, 10, "10/one"))
        append(subject.store, [], Advance(intake_position(*PARTITION, HALF), 10, -1))

        with pytest.raises(StalePositionError, match="is at -1, not 10"):
            append(subject.store, [], Advance(intake_position(*PARTITION, REST), 10, 11))
        assert ranges(subject.store) == (IntakePosition(ALL_SLICES, -1),)

    def test_an_ingester_enrols_once_and_moves_its_own_position(self, subject: StoreUnderTest) -> None:
        with subject.store.transaction() as transaction:
            assert transaction.enrol("ingester/one") == 0
            transaction.append([], [Advance("ingester/one", 0, 1)])
        with subject.store.transaction() as transaction:
            assert transaction.enrol("ingester/one") == 1
            assert transaction.enrol("ingester/two") == 0

    def test_one_stale_position_holds_back_the_others(self, subject: StoreUnderTest) -> None:
        with subject.store.transaction() as transaction:
            transaction.claim([("a", 0), ("b", 0), ("c", 0)], ALL_SLICES)
        a, b, c = (intake_position(topic, 0) for topic in "abc")
        append(subject.store, [], Advance(b, -1, 1))

        with pytest.raises(StalePositionError, match="b/0 is at 1, not -1"):
            append(subject.store, [], Advance(c, -1, 5), Advance(b, -1, 5), Advance(a, -1, 5))

        assert [position(subject.store, (topic, 0)) for topic in "abc"] == [-1, 1, -1]

    def test_a_position_that_was_never_claimed_is_stale(self, subject: StoreUnderTest) -> None:
        with pytest.raises(StalePositionError):
            append(subject.store, recorded_by(registered("e1")), Advance("never-claimed", 3, 4))

        assert subject.log() == []

    @pytest.mark.parametrize(
        "batch_id",
        [
            pytest.param(random_text(10_000), id="too long for an index"),
            pytest.param("nul\x00", id="U+0000"),
            pytest.param("half a character \ud800", id="lone surrogate"),
        ],
    )
    def test_an_id_that_cannot_be_stored_is_refused_and_nothing_is_written(
        self, subject: StoreUnderTest, batch_id: str
    ) -> None:
        position(subject.store)
        good = recorded_by(registered("e1"))

        with pytest.raises(UnstorableError):
            append(
                subject.store,
                [*good, *recorded_by(registered("e1"), batch_id=batch_id)],
                Advance(PLACE, -1, 1),
            )

        assert subject.log() == []
        assert position(subject.store) == -1
        append(subject.store, good, Advance(PLACE, -1, 1))
        assert len(subject.log()) == 1

    @pytest.mark.parametrize(
        "error_info",
        [
            pytest.param({"text": "\ud800"}, id="lone surrogate"),
            pytest.param({"huge": 10**30, "endless": float("inf")}, id="infinity beside a huge integer"),
            pytest.param({"object": object()}, id="no JSON"),
        ],
    )
    def test_details_that_cannot_be_stored_are_refused(
        self, subject: StoreUnderTest, error_info: dict[str, Any]
    ) -> None:
        with pytest.raises(UnstorableError):
            append(subject.store, recorded_by(spellcheck_failed("e1", error_info=error_info)))

        assert subject.log() == []

    @pytest.mark.parametrize(
        "foreign",
        [
            pytest.param(
                StoredEvent("batch-b1", 2, "ras.batch.from-the-future.v9", b"{}"), id="unknown topic"
            ),
            pytest.param(StoredEvent("batch-b1", 2, "ras.batch.registered.v1", b"{"), id="no JSON"),
            pytest.param(StoredEvent("batch-b1", 2, "ras.batch.registered.v1", b"{}"), id="fields missing"),
            pytest.param(StoredEvent("batch-b1", 2, "ras.batch.registered.v1", b"[]"), id="no object"),
        ],
    )
    def test_a_stream_that_cannot_be_read_is_reported_and_does_not_hide_the_others(
        self, subject: StoreUnderTest, foreign: StoredEvent
    ) -> None:
        other = recorded_by(registered("e1"), batch_id="b2")
        append(subject.store, [*recorded_by(registered("e1")), *other])
        subject.put(foreign)

        found = loaded(subject.store, "batch-b1", "batch-b2")

        unreadable = found["batch-b1"]
        assert isinstance(unreadable, UnreadableEvents)
        assert unreadable.version == 2
        assert unreadable.reason
        assert found["batch-b2"] == other

    def test_counts_add_up(self, subject: StoreUnderTest) -> None:
        first = IntakeCounts(taken_in=5, recorded=2, repeated=1, dead_lettered=1, parked=1)
        for counts in ({("a", 0): first}, {("a", 0): first, ("a", 1): IntakeCounts(taken_in=1, recorded=1)}):
            with subject.store.transaction() as transaction:
                transaction.count(counts)

        assert subject.counts() == {
            ("a", 0): IntakeCounts(taken_in=10, recorded=4, repeated=2, dead_lettered=2, parked=2),
            ("a", 1): IntakeCounts(taken_in=1, recorded=1),
        }

    def test_under_the_lock_a_load_and_an_append_belong_together(self, subject: StoreUnderTest) -> None:
        append(subject.store, recorded_by(registered("e1")))
        with subject.store.transaction() as transaction:
            transaction.lock()
            events = transaction.load({"batch-b1": 0}, most=1000)["batch-b1"]
            assert isinstance(events, list)
            batch = BatchAggregate.replay("batch-b1", events)
            play([spellchecked("e1")], batch)
            transaction.append(batch.collect_events(), [])

        assert [version for _, _, version in subject.log()] == [1, 2]
