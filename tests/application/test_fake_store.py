"""The fake store keeps the contract of the real one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from eventsourcing.persistence import OperationalError, StoredEvent

from application.ports import EventStorePort, IntakeCounts
from tests.application.event_store_contract import EventStoreContract, recorded_by
from tests.support.fake_store import FakeEventStore, Step
from tests.support.given import registered


class FakeUnderTest:
    """The fake, as the contract wants to see it."""

    def __init__(self) -> None:
        self._fake = FakeEventStore()

    @property
    def store(self) -> EventStorePort:
        return self._fake

    def log(self) -> list[tuple[int, str, int]]:
        return [(number, str(e.originator_id), e.originator_version) for number, e in self._fake.log]

    def counts(self) -> Mapping[tuple[str, int], IntakeCounts]:
        return self._fake.counts

    def put(self, stored: StoredEvent) -> None:
        self._fake.put(self._fake.next_notification_id(), stored)

    def put_position(self, name: str, position: int) -> None:
        self._fake.positions[name] = position


class TestFakeEventStore(EventStoreContract):
    """The fake under the contract."""

    @pytest.fixture
    def subject(self) -> FakeUnderTest:
        """An empty fake."""
        return FakeUnderTest()


def test_a_second_writer_times_out_while_the_lock_is_held() -> None:
    store = FakeEventStore()
    with store.transaction() as first:
        first.lock()
        with pytest.raises(OperationalError, match="lock timeout"), store.transaction() as second:
            second.append([], [])
    with store.transaction() as third:
        third.lock()


def test_a_lost_answer_comes_after_the_events_are_durable() -> None:
    store = FakeEventStore()

    def lose_the_answer(step: Step) -> None:
        if step is Step.COMMITTED:
            raise OperationalError("server closed the connection unexpectedly")

    store.on_step = lose_the_answer
    with pytest.raises(OperationalError), store.transaction() as transaction:
        transaction.append(recorded_by(registered("e1")), [])

    assert len(store.log) == 1
