"""A topic that was recreated and has grown past the stored position: recognised by the message at the position."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import pytest
from confluent_kafka import KafkaException

from application.intake_positions import intake_position
from application.topics import ESSAY_SLOT_ASSIGNED, INPUT_TOPICS
from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from infrastructure.kafka.topics import PARTITIONS
from tests.support.accounts import all_is_projected, all_is_taken_in, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_125, 20, class_sizes=(8, 24)))
_OTHERS: Final = [m for m in stream(20_261_126, 40, class_sizes=(8, 24)) if m.topic == ESSAY_SLOT_ASSIGNED]
"""More messages of one topic than there are in it of the first stream."""

_REFUSAL: Final = (
    "is not the one that was ingested there, so this is another log: the topic was recreated, or it is another "
    "Kafka. Nothing was skipped. If this is known and right, start with RAS_ACCEPT_OFFSET_GAPS=true"
)


def _make_anew(topics: Topics, messages: list[UpstreamMessage] = _OTHERS) -> None:
    """Delete a topic, make it again and let it grow past what it was."""
    before = topics.ends([ESSAY_SLOT_ASSIGNED])
    topics.delete(ESSAY_SLOT_ASSIGNED)
    with suppress(KafkaException):  # a consumer at work may ask for it first, which creates it
        topics.create(ESSAY_SLOT_ASSIGNED, {}, partitions=PARTITIONS)
    topics.send(messages)
    now = topics.ends([ESSAY_SLOT_ASSIGNED])
    assert all(0 < end < now[partition] for partition, end in before.items())


def _positions(store: PostgresProbe) -> list[int]:
    return [store.positions()[intake_position(ESSAY_SLOT_ASSIGNED, n)] for n in range(PARTITIONS)]


@pytest.fixture
def ingester(ras: Installation, ras_topics: Topics, store: PostgresProbe) -> RoleProcess:
    """An ingester that has ingested everything."""
    ingester = ras.start("ingest").wait_until_ready()
    ras_topics.send(_MESSAGES)
    _wait_until_taken_in(ras_topics, store)
    return ingester


def _wait_until_taken_in(topics: Topics, store: PostgresProbe) -> None:
    wait_until(
        lambda: all_is_taken_in(store, topics),
        what="everything is ingested",
        deadline_s=60.0,
        state=lambda: taken_in(store),
    )


def test_a_topic_that_grew_past_the_position_is_refused_and_read_from_its_beginning_when_told(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, ingester: RoleProcess
) -> None:
    ingester.terminate()
    before, positions = taken_in(store), _positions(store)
    _make_anew(ras_topics)

    refused = ras.run("ingest")
    assert refused.exit_code == 1
    assert any(
        f"{ESSAY_SLOT_ASSIGNED}, partition {n}: the message at the stored position {at} {_REFUSAL}"
        in refused.output
        for n, at in enumerate(positions)
    ), refused.output
    assert (taken_in(store), _positions(store)) == (before, positions)

    ras.start("ingest", accept_offset_gaps="true").wait_until_ready()
    wait_until(
        lambda: taken_in(store) == before + len(_OTHERS),
        what="the new topic is ingested from its beginning",
        state=lambda: f"{taken_in(store) - before} of {len(_OTHERS)}; {_positions(store)}",
    )
    ends = ras_topics.ends([ESSAY_SLOT_ASSIGNED])
    assert _positions(store) == [ends[ESSAY_SLOT_ASSIGNED, n] - 1 for n in range(PARTITIONS)]

    ras.start("project").wait_until_ready()
    wait_until(lambda: all_is_projected(store), what="everything is projected", deadline_s=60.0)
    for options in ((), ("--incremental",)):
        check = ras.run("check", *options)
        assert check.exit_code == 0, check.output  # although offsets stand for two messages now


def test_an_ingester_at_work_ends_when_a_topic_is_made_anew(
    ras_topics: Topics, store: PostgresProbe, ingester: RoleProcess
) -> None:
    before = taken_in(store)
    _make_anew(ras_topics)

    assert ingester.wait_for_end(deadline_s=90.0) == 1
    # It may see the new topic before that has grown, or after.
    assert _REFUSAL in ingester.output or "Kafka ends at offset" in ingester.output
    assert taken_in(store) == before


def test_an_ingester_that_did_not_see_the_topic_go_ends_too(
    ras_topics: Topics, store: PostgresProbe, ingester: RoleProcess
) -> None:
    before = taken_in(store)
    with ingester.paused():
        _make_anew(ras_topics)

    assert ingester.wait_for_end(deadline_s=90.0) == 1
    assert _REFUSAL in ingester.output
    assert taken_in(store) == before


def test_where_the_message_at_the_position_is_gone_or_was_never_marked_nothing_is_refused(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, ingester: RoleProcess
) -> None:
    ingester.terminate()
    for partition, end in ras_topics.ends([ESSAY_SLOT_ASSIGNED]).items():
        ras_topics.drop_before(partition, end)
    others = [
        intake_position(t, n) for t in INPUT_TOPICS if t != ESSAY_SLOT_ASSIGNED for n in range(PARTITIONS)
    ]
    store.execute("UPDATE ras.positions SET mark = NULL WHERE name = ANY(%s)", others)

    again = ras.start("ingest").wait_until_ready()
    ras_topics.send(_OTHERS)
    _wait_until_taken_in(ras_topics, store)
    assert again.terminate() == 0
