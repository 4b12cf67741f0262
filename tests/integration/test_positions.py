"""Positions on PostgreSQL: anyone who moves one must name where it stood, and only one of many can."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest

from application.aggregates import AggregateCache
from application.ingest import IngestMicroBatch
from application.intake_positions import IntakePosition, Partition, Ranges, intake_position, slices_in
from application.ports import Advance, StalePositionError
from domain.slices import ALL_SLICES, SLICES
from infrastructure.eventstore.positions import projection_position
from infrastructure.eventstore.store import EventStore
from tests.application.event_store_contract import append, position, recorded_by
from tests.support.given import registered
from tests.support.postgres_probe import PostgresProbe

PLACE = "intake/some-topic/0"


def test_of_two_owners_at_once_one_moves_the_position(store: EventStore, database: PostgresProbe) -> None:
    owners, rounds = 4, 20
    position(store)
    together = Barrier(owners)

    def own(owner: int) -> list[int]:
        won = []
        for start in range(-1, rounds - 1):
            together.wait()
            try:
                events = recorded_by(registered("e1"), batch_id=f"{owner}-{start}")
                append(store, events, Advance(PLACE, start, start + 1))
            except StalePositionError:
                continue
            won.append(start)
        return won

    with ThreadPoolExecutor(owners) as pool:
        won = sorted(start for starts in pool.map(own, range(owners)) for start in starts)

    assert won == list(range(-1, rounds - 1))
    assert database.positions() == {PLACE: rounds - 1}
    assert len(database.log()) == rounds


def test_new_positions_claimed_by_many_at_once_are_made_once(
    store: EventStore, database: PostgresProbe
) -> None:
    partitions = [("some-topic", number) for number in range(20)]
    claimers = 4
    together = Barrier(claimers)

    def claim(_claimer: int) -> dict[Partition, Ranges]:
        together.wait()
        with store.transaction() as transaction:
            return dict(transaction.claim(partitions, ALL_SLICES))

    with ThreadPoolExecutor(claimers) as pool:
        new = dict.fromkeys(partitions, (IntakePosition(ALL_SLICES, -1),))
        assert list(pool.map(claim, range(claimers))) == [new] * claimers
    assert database.positions() == {intake_position(*partition): -1 for partition in partitions}


def test_slices_claimed_by_many_at_once_are_divided_without_gap_or_overlap(
    store: EventStore, database: PostgresProbe
) -> None:
    partitions = [("some-topic", number) for number in range(5)]
    claimers, rounds = 4, 10
    together = Barrier(claimers)

    def claim(claimer: int) -> None:
        use_case = IngestMicroBatch(store, AggregateCache(0))
        for turn in range(rounds):
            use_case.own(ALL_SLICES.part((claimer + turn) % claimers, claimers + turn % 2))
            together.wait()
            positions = use_case.positions(partitions)
            with suppress(StalePositionError):  # the last of them may be nobody's in odd rounds
                use_case.pass_over(dict.fromkeys(partitions, (turn * 10 + claimer, None)), positions)

    with ThreadPoolExecutor(claimers) as pool:
        list(pool.map(claim, range(claimers)))

    for partition in partitions:
        names = [name for name in database.positions() if name.startswith(f"{intake_position(*partition)}/")]
        found = sorted(slices_in(name) for name in names)
        assert [each.first for each in found] == [0, *(each.end for each in found[:-1])]
        assert found[-1].end == SLICES


def test_a_move_is_dated(store: EventStore, database: PostgresProbe) -> None:
    position(store)
    [(before,)] = database.rows("SELECT updated_at FROM ras.positions")
    append(store, [], Advance(PLACE, -1, 0))

    assert database.value("SELECT updated_at FROM ras.positions") > before


def test_a_position_can_be_set_back_by_who_knows_where_it_stands(store: EventStore) -> None:
    position(store)
    append(store, [], Advance(PLACE, -1, 10))
    append(store, [], Advance(PLACE, 10, 4))

    assert position(store) == 4


def test_an_ingester_asks_for_its_partitions_by_name(store: EventStore, database: PostgresProbe) -> None:
    use_case = IngestMicroBatch(store, AggregateCache(0))
    partitions = [("topic-a", 0), ("topic-a", 1), ("topic-b", 0)]

    assert use_case.positions(partitions) == dict.fromkeys(partitions, -1)
    use_case.skip("topic-a", 1, -1, 99)
    assert use_case.positions(partitions) == {("topic-a", 0): -1, ("topic-a", 1): 99, ("topic-b", 0): -1}
    with pytest.raises(StalePositionError, match="intake/topic-a/1 is at 99, not -1"):
        use_case.skip("topic-a", 1, -1, 100)
    assert database.log() == []


def test_ingesters_that_have_long_been_silent_are_forgotten(
    store: EventStore, database: PostgresProbe
) -> None:
    for name in ("ingester/gone", "ingester/here"):
        with store.transaction() as transaction:
            transaction.enrol(name)
    position(store)
    database.execute(
        "UPDATE ras.positions SET updated_at = now() - interval '31 days' WHERE name <> 'ingester/here'"
    )
    with store.transaction() as transaction:
        transaction.enrol("ingester/new")

    assert database.positions().keys() == {"ingester/here", "ingester/new", PLACE}


def test_positions_of_readers_of_different_kinds_never_share_a_name() -> None:
    assert projection_position("batch_results") == "projection/batch_results"
    assert not projection_position("x").startswith("intake/")
