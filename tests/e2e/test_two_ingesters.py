"""Ingesters come and go while messages flow, and share the work of one consumer group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import anyio
from aiokafka import AIOKafkaConsumer

from application.intake_positions import intake_position, partition_in, slices_in
from application.topics import INPUT_TOPICS
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from tests.support.accounts import check_as_undisturbed, check_taken_in_once, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Coordinates, Partition, Sender, Topics
from tests.support.waiting import wait_until

_SEED = 20_260_310
_AT_A_TIME = 30
_UNDER_WAY = 300
"""How many messages are kept lying before the ingesters, so that they never run out of work."""


class Load:
    """Upstream, which goes on sending whatever happens to the ingesters."""

    def __init__(self, sender: Sender, store: PostgresProbe) -> None:
        self.messages: list[UpstreamMessage] = []
        self.places: list[Coordinates] = []
        self._sender = sender
        self._store = store
        self._source: Iterator[UpstreamMessage] = iter(stream(_SEED, 5000, class_sizes=(1, 8, 24)))

    def until(self, happened: Callable[[], bool], what: str, *, deadline_s: float = 30.0) -> None:
        """Keep sending until something has happened."""

        def send_and_look() -> bool:
            if len(self.messages) - taken_in(self._store) < _UNDER_WAY:
                self._send(list(islice(self._source, _AT_A_TIME)))
            return happened()

        wait_until(send_and_look, what=what, deadline_s=deadline_s, state=self._state)

    def until_all_is_in(self) -> None:
        """Send nothing more and wait until everything is ingested."""
        wait_until(
            lambda: taken_in(self._store) == len(self.messages),
            what="everything is ingested",
            state=self._state,
        )

    def _send(self, messages: list[UpstreamMessage]) -> None:
        self.messages += messages
        self.places += self._sender.send(messages)

    def _state(self) -> str:
        return f"{taken_in(self._store)} of {len(self.messages)} messages are ingested"


def test_nothing_is_lost_or_doubled_when_ingesters_join_are_killed_and_are_stopped_under_load(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    with Sender(ras.bootstrap_servers) as sender:
        load = Load(sender, store)
        first = _start(ras)
        load.until(_works(first), "the first works")

        second = _start(ras)
        load.until(_works(second), "the second has joined and works")
        load.until(_works(first), "the first still works")

        third = _start(ras)
        load.until(_works(third), "the third has joined and works")
        second.kill()
        lying = ras_topics.ends(INPUT_TOPICS)
        load.until(lambda: _are_in(lying, store), "the others have done the work of the killed one")
        load.until(_works(first), "the first works")
        load.until(_works(third), "the third works")

        assert first.terminate() == 0, first.output
        load.until(_works(third), "the last one works alone")
        load.until_all_is_in()

    check_taken_in_once(store, ras_topics, load.places)
    check_as_undisturbed(store, load.messages)


def test_four_ingesters_have_a_quarter_of_the_batches_each_and_one_that_was_away_finds_its_own_taken(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    with Sender(ras.bootstrap_servers) as sender:
        load = Load(sender, store)
        ingesters = [_start(ras) for _ in range(4)]
        load.until(lambda: len(_ranges(store)) == 4, "each has its slices")
        for number, ingester in enumerate(ingesters):
            load.until(_works(ingester), f"number {number} works")
        # The same streams in two hands would be refused again and again.
        assert sum(ingester.metric("ras_ingest_conflicts_total") for ingester in ingesters) == 0

        killed, away, *_ = ingesters
        killed.kill()
        with away.paused():
            lying = ras_topics.ends(INPUT_TOPICS)
            # Where it was stopped in a transaction, PostgreSQL ends that first: it holds the writers' lock.
            load.until(
                lambda: _are_in(lying, store) and len(_ranges(store)) == 2,
                "the other two have done the work of four",
                deadline_s=120,
            )
        load.until(lambda: len(_ranges(store)) == 3, "the one that was away has slices again")
        load.until(_works(away), "it works")
        for ingester in ingesters[1:]:
            assert ingester.terminate() == 0, ingester.output
        last = _start(ras)
        load.until(_works(last), "one does the work of all")
        load.until_all_is_in()
        wait_until(lambda: _ranges(store) == [(0, 1024)], what="their positions are one again")

    check_taken_in_once(store, ras_topics, load.places)
    check_as_undisturbed(store, load.messages)


async def test_beside_an_ingester_of_an_early_release_partitions_are_divided_until_it_has_gone(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    early = AIOKafkaConsumer(
        bootstrap_servers=ras.bootstrap_servers,
        group_id=ras.consumer_group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    early.subscribe(INPUT_TOPICS)  # as early releases did: by partitions
    await early.start()
    try:
        await early.getmany(timeout_ms=5_000)
        ours = await anyio.to_thread.run_sync(_start, ras)
        with anyio.fail_after(60):
            while not store.ingested() or not early.assignment():
                await early.getmany(timeout_ms=100)
        mine = {(partition.topic, partition.partition) for partition in early.assignment()}
        assert mine
        assert not mine & store.ingested().keys()
    finally:
        await early.stop()
    with Sender(ras.bootstrap_servers) as sender:
        load = Load(sender, store)
        load.until(lambda: mine <= store.ingested().keys(), "it has all partitions")
        load.until_all_is_in()
    assert ours.terminate() == 0, ours.output

    check_taken_in_once(store, ras_topics, load.places)


def _ranges(store: PostgresProbe) -> list[tuple[int, int]]:
    """Return the slices of which there are positions in the first partition, in their order."""
    topic = next(topic for topic, number in sorted(store.ingested()) if number == 0)
    names = [n for n in store.positions("intake/") if partition_in(n) == intake_position(topic, 0)]
    return sorted((slices_in(name).first, slices_in(name).end) for name in names)


def _start(ras: Installation) -> RoleProcess:
    return ras.start("ingest", batch_max_messages="20").wait_until_ready()


def _works(ingester: RoleProcess) -> Callable[[], bool]:
    """Return what says whether `ingester` has ingested messages since now."""
    before = ingester.metric("ras_ingest_messages_total")
    return lambda: ingester.metric("ras_ingest_messages_total") > before


def _are_in(ends: Mapping[Partition, int], store: PostgresProbe) -> bool:
    """Whether everything before `ends` is ingested."""
    ingested = store.ingested()
    return all(ingested.get(partition, -1) >= end - 1 for partition, end in ends.items())
