"""Two publishers under one transactional id: the younger works, the older ends and says why."""

from __future__ import annotations

from random import Random

import psycopg
import pytest

from infrastructure.demo.stream import stream
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.log import NotificationLog
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.local.processes import free_port
from infrastructure.publishing.publisher import KafkaSink
from infrastructure.role_status import RoleStatus
from tests.support.accounts import all_is_published, check_published_once, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import CommittedReader, Topics
from tests.support.waiting import wait_until

_SEED = 20_260_309
_PAUSES = 3


def test_a_publisher_that_was_paused_while_another_took_over_ends_and_says_so(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    dice = Random(_SEED)
    messages = list(stream(_SEED, 60, class_sizes=(1, 3, 8)))
    share = len(messages) // (2 * _PAUSES)
    parts = [messages[begin : begin + share] for begin in range(0, len(messages), share)]
    ras.start("ingest").wait_until_ready()
    older = ras.start("publish", publish_max_events="2").wait_until_ready()
    with CommittedReader(ras.bootstrap_servers) as reader:
        for pause in range(_PAUSES):
            ras_topics.send(parts[2 * pause])
            reader.wait_for(len(reader.records) + dice.randint(1, 10))
            with older.paused():
                younger = ras.start("publish", publish_max_events="2").wait_until_ready()
                ras_topics.send(parts[2 * pause + 1])
                _wait_until_published(ras, store, sum(map(len, parts[: 2 * pause + 2])))
            _check_fenced(ras, older)
            assert younger.exit_code is None
            older = younger
    for part in parts[2 * _PAUSES :]:
        ras_topics.send(part)
    _wait_until_published(ras, store, len(messages))

    check_published_once(store, ras_topics, ras.transactional_id)


def test_an_idle_publisher_notices_that_another_has_started(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    older = ras.start("publish").wait_until_ready()

    younger = ras.start("publish").wait_until_ready()

    _check_fenced(ras, older)
    assert younger.exit_code is None
    assert younger.health == "ok"


async def test_a_publisher_without_its_database_does_not_fence_one_that_works(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ras.start("ingest").wait_until_ready()
    works = ras.start("publish").wait_until_ready()
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/ras"

    sink = KafkaSink(
        ras.bootstrap_servers,
        ras.transactional_id,
        NotificationLog(nowhere, event_codec(), []),
        PositionCopy(nowhere, ras.transactional_id),
        RoleStatus("publisher"),
        timeout_s=10,
    )
    try:
        with pytest.raises(psycopg.OperationalError):
            await sink.position()
    finally:
        await sink.close()
    messages = list(stream(_SEED, 5, class_sizes=(1, 3)))
    ras_topics.send(messages)
    _wait_until_published(ras, store, len(messages))
    assert works.exit_code is None

    ras.start("publish").wait_until_ready()
    _check_fenced(ras, works)
    assert "Traceback" not in works.output


def _wait_until_published(ras: Installation, store: PostgresProbe, messages: int) -> None:
    """Wait until `messages` messages are taken in and what followed from them is published."""
    wait_until(
        lambda: taken_in(store) >= messages and all_is_published(store, ras.transactional_id),
        what=f"what follows from {messages} messages is published",
        state=lambda: (taken_in(store), store.positions()),
    )


def _check_fenced(ras: Installation, publisher: RoleProcess) -> None:
    assert publisher.wait_for_end(deadline_s=25) == 1
    assert (
        f"ras: Another publisher with the transactional id '{ras.transactional_id}' has taken over. This one "
        "ends; nothing is lost and nothing is sent twice."
    ) in publisher.output
    assert "Traceback" not in publisher.output, publisher.output
