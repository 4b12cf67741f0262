"""Messages that Kafka lost before they were ingested: refused by name, skipped only on an operator's word."""

from __future__ import annotations

import re
from typing import Final

from application.intake_positions import intake_position
from application.topics import ESSAY_SLOT_ASSIGNED, INPUT_TOPICS
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from infrastructure.kafka.topics import PARTITIONS
from tests.support.accounts import all_is_taken_in, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Coordinates, Topics
from tests.support.waiting import wait_until

_WHAT_TO_DO: Final = (
    "Nothing was skipped. If this is known and right, start with RAS_ACCEPT_OFFSET_GAPS=true to go on from "
    "what Kafka has."
)
_MESSAGES: Final = list(stream(20_260_313, 20, class_sizes=(8, 24)))
_FIRST_HALF: Final = _MESSAGES[: len(_MESSAGES) // 2]
_SECOND_HALF: Final = _MESSAGES[len(_MESSAGES) // 2 :]


def test_messages_that_retention_took_are_named_and_skipped_only_when_told(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    _send(_FIRST_HALF, ras_topics, store)
    ingester.terminate()
    lying = ras_topics.send(_SECOND_HALF)
    lost = _of_one_partition(lying)[:3]
    topic, partition, first = lost[0].topic, lost[0].partition, lost[0].offset
    ras_topics.drop_before((topic, partition), first + 3)
    before = store.positions()

    refused = ras.run("ingest")

    assert refused.exit_code == 1
    assert (
        f"ras: {topic}, partition {partition}: offsets {first} to {first + 2} are gone from Kafka. {_WHAT_TO_DO}"
    ) in refused.output
    assert store.positions()[intake_position(topic, partition)] == before[intake_position(topic, partition)]

    ingester = ras.start("ingest", accept_offset_gaps="true")
    wait_until(
        lambda: taken_in(store) == len(_MESSAGES) - 3,
        what="all but the lost messages are ingested",
        state=lambda: f"{taken_in(store)} of {len(_MESSAGES)}",
    )
    ends = ras_topics.ends(INPUT_TOPICS)
    assert {store.positions()[intake_position(*p)] - end for p, end in ends.items()} == {-1}
    assert "ingest.gap_accepted" in ingester.output


def test_messages_that_retention_takes_from_under_a_running_ingester_are_named(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    _send(_FIRST_HALF, ras_topics, store)
    one, *others = [m for m in _SECOND_HALF if m.topic == ESSAY_SLOT_ASSIGNED]
    with ingester.paused():
        # A fetch that was under way may still carry the first message, but no more.
        ras_topics.send([one])
        lying = _of_one_partition(ras_topics.send(others))
        topic, partition, last = lying[-1].topic, lying[-1].partition, lying[-1].offset
        ras_topics.drop_before((topic, partition), last)

    assert ingester.wait_for_end() == 1

    refusal = re.search(
        rf"ras: {topic}, partition {partition}: offsets (\d+) to {last - 1} are gone from Kafka. {_WHAT_TO_DO}",
        ingester.output,
    )
    assert refusal is not None, ingester.output
    assert lying[0].offset - 1 <= int(refusal[1]) <= lying[0].offset


def test_a_topic_that_was_made_anew_is_refused_and_read_from_its_beginning_when_told(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester = ras.start("ingest").wait_until_ready()
    _send(_FIRST_HALF, ras_topics, store)
    ingester.terminate()
    positions = store.positions()
    ras_topics.delete(ESSAY_SLOT_ASSIGNED)
    ras_topics.create(ESSAY_SLOT_ASSIGNED, {}, partitions=PARTITIONS)

    refused = ras.run("ingest")

    assert refused.exit_code == 1
    assert any(
        f"ras: {ESSAY_SLOT_ASSIGNED}, partition {number}: Kafka ends at offset -1, before the stored position "
        f"{positions[intake_position(ESSAY_SLOT_ASSIGNED, number)]}. {_WHAT_TO_DO}" in refused.output
        for number in range(PARTITIONS)
    ), refused.output

    before = taken_in(store)
    ras.start("ingest", accept_offset_gaps="true")
    new = [intake_position(ESSAY_SLOT_ASSIGNED, number) for number in range(PARTITIONS)]
    wait_until(
        lambda: {store.positions()[name] for name in new} == {-1},
        what="the gaps are accepted",
        state=store.positions,
    )
    ras_topics.send(_SECOND_HALF)
    wait_until(
        lambda: taken_in(store) == before + len(_SECOND_HALF),
        what="everything in the new topic is ingested",
        state=lambda: f"{taken_in(store) - before} of {len(_SECOND_HALF)}",
    )


def _send(messages: list[UpstreamMessage], topics: Topics, store: PostgresProbe) -> None:
    topics.send(messages)
    wait_until(
        lambda: all_is_taken_in(store, topics), what="everything is ingested", state=lambda: taken_in(store)
    )


def _of_one_partition(places: list[Coordinates]) -> list[Coordinates]:
    """Return those that lie in partition 0 of the busiest kind of topic, in their order."""
    return [at for at in places if (at.topic, at.partition) == (ESSAY_SLOT_ASSIGNED, 0)]
