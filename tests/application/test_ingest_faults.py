"""Faults that pass, crashes at every step, any cut: each message is recorded once."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from eventsourcing.persistence import OperationalError, StoredEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from application.deciding import Intake
from application.ports import StalePositionError
from infrastructure.demo.stream import stream
from tests.support.examples import examples
from tests.support.fake_store import FakeEventStore, Step
from tests.support.ingesting import Ingestion, intakes_of, messages_of, small_batch, take_in_cuts, total


@pytest.fixture
def store() -> FakeEventStore:
    """An empty store."""
    return FakeEventStore()


def stored_in(store: FakeEventStore) -> list[StoredEvent]:
    """Return every stored event in the order of the log; the ids may have gaps."""
    return [stored for _, stored in store.log]


def taken_in_at_once(intakes: list[Intake]) -> FakeEventStore:
    """Return a store into which nothing went wrong."""
    store = FakeEventStore()
    Ingestion(store).insist(intakes)
    return store


# Faults that pass: nothing was written, or nobody knows.


class Faults:
    """A hook that loses the connection at chosen steps, counted from 0, and counts how many there were."""

    def __init__(self, at: Collection[int] = (), first: Step | None = None) -> None:
        self._at = at
        self._first = first
        self.steps = 0

    def __call__(self, step: Step) -> None:
        number, self.steps = self.steps, self.steps + 1
        if step is self._first or number in self._at:
            self._first = None
            raise OperationalError(f"the connection is lost at {step}, step {number}")


REACHED = [Step.BEGIN, Step.LOAD, Step.APPEND, Step.COUNT, Step.COMMIT, Step.COMMITTED]
"""The steps of a transaction that meets no conflict."""


def test_a_second_micro_batch_while_one_is_taken_in_is_refused(store: FakeEventStore) -> None:
    intakes = intakes_of(messages_of(small_batch()))
    ingestion = Ingestion(store)
    ingestion.seek(intakes)
    refused: list[str] = []

    def take_in_meanwhile(step: Step) -> None:
        if step is Step.APPEND:
            with pytest.raises(RuntimeError) as refusal:
                ingestion.use_case.take_in(intakes, dict(ingestion.positions))
            refused.append(str(refusal.value))

    store.on_step = take_in_meanwhile
    ingestion.take_in(intakes)

    assert [sentence.split(".")[0] for sentence in refused] == ["Two threads take in messages with one cache"]
    assert stored_in(store) == stored_in(taken_in_at_once(intakes))


@pytest.mark.parametrize("step", REACHED)
def test_what_could_not_be_saved_leaves_the_cache(store: FakeEventStore, step: Step) -> None:
    intakes = intakes_of(messages_of(small_batch()))
    ingestion = Ingestion(store)
    ingestion.insist(intakes[:1])
    ingestion.seek(intakes)
    ingestion.use_case.forget()
    store.on_step = Faults(first=step)

    with pytest.raises(OperationalError):
        ingestion.take_in(intakes[1:4])
    assert len(ingestion.use_case.cache) == 0
    ingestion.insist(intakes[1:])

    assert stored_in(store) == stored_in(taken_in_at_once(intakes))


def test_a_stale_position_empties_the_cache_because_others_were_at_work(store: FakeEventStore) -> None:
    here, elsewhere = small_batch("here"), small_batch("elsewhere")
    intakes = intakes_of(messages_of(here, elsewhere))
    zombie, owner = Ingestion(store), Ingestion(store)
    zombie.insist(intakes[:4])
    zombie.seek(intakes)
    assert len(zombie.use_case.cache) == 2
    owner.insist(intakes)
    before = list(store.log)

    with pytest.raises(StalePositionError):
        zombie.take_in(intakes[4:])

    assert len(zombie.use_case.cache) == 0
    assert store.log == before


def take_turns(store: FakeEventStore, intakes: list[Intake]) -> int:
    """Let two ingesters share the partitions of the same batches; return how many conflicts that made."""
    ingesters = [Ingestion(store), Ingestion(store)]
    conflicts = 0
    for begin in range(0, len(intakes), 8):
        for number, ingester in enumerate(ingesters):
            mine = [i for i in intakes[begin : begin + 8] if i.message.partition % 2 == number]
            conflicts += ingester.insist(mine).conflicts
    return conflicts


def test_a_crash_at_any_step_and_a_retry_record_everything_once() -> None:
    """The answer to a commit may be lost too; the ingester then finds its position moved."""
    intakes = intakes_of(messages_of(small_batch("a", failed=1), small_batch("b", essays=2)))
    clean, none = FakeEventStore(), Faults()
    clean.on_step = none
    assert take_turns(clean, intakes) > 0
    assert total(clean).taken_in == len(intakes)
    assert none.steps > 20

    for fatal in range(none.steps):
        store = FakeEventStore()
        store.on_step = Faults(at=[fatal])
        take_turns(store, intakes)

        assert stored_in(store) == stored_in(clean), f"step {fatal}"
        assert store.intake_positions == clean.intake_positions, f"step {fatal}"
        assert store.counts == clean.counts, f"step {fatal}"


# Any cut into micro-batches.

STREAM = intakes_of(stream(5, 12, class_sizes=(1, 2, 5), failure_share=0.7, disorder=0.6, repeats=0.3))
"""Small batches with every trouble: failures, retries, disorder, repeats."""

AT_ONCE = taken_in_at_once(STREAM)


@settings(max_examples=examples(40))
@given(
    sizes=st.lists(st.integers(1, 60), max_size=60),
    max_essays=st.sampled_from([0, 12, 10_000]),
)
def test_any_cut_into_micro_batches_gives_the_same_events_and_state(
    sizes: list[int], max_essays: int
) -> None:
    store = FakeEventStore()

    take_in_cuts(Ingestion(store, max_essays=max_essays), STREAM, sizes)

    assert store.log == AT_ONCE.log
    assert store.intake_positions == AT_ONCE.intake_positions
    assert store.counts == AT_ONCE.counts


@settings(max_examples=examples(40))
@given(
    sizes=st.lists(st.integers(1, 40), max_size=40),
    faults=st.sets(st.integers(0, 150), max_size=30),
)
def test_any_cut_with_any_faults_gives_the_same_events_and_state(sizes: list[int], faults: set[int]) -> None:
    store = FakeEventStore()
    store.on_step = Faults(at=faults)

    take_in_cuts(Ingestion(store), STREAM, sizes)

    assert stored_in(store) == stored_in(AT_ONCE)
    assert store.intake_positions == AT_ONCE.intake_positions
    assert store.counts == AT_ONCE.counts
