"""Kafka becomes unavailable and comes back: what was fetched is taken in and can be asked for, the rest waits."""

from __future__ import annotations

from typing import Final

import psycopg

from infrastructure.demo.script import START, BatchScript, draw_script
from infrastructure.demo.upstream import batch_messages
from tests.support.accounts import (
    check_published_once,
    check_taken_in_once,
    taken_in,
    wait_until_settled,
)
from tests.support.kafka_server import KafkaServer
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_DEADLINE_S: Final = 60.0


def test_roles_wait_for_kafka_and_go_on_by_themselves(
    restartable_kafka: KafkaServer, ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    before, during, after = (_batch(number) for number in range(3))
    ingester, publisher, projector, api = (
        ras.start(role, publish_timeout_s="5").wait_until_ready()
        for role in ("ingest", "publish", "project", "serve")
    )
    sent = ras_topics.send(batch_messages(before))
    wait_until_settled(store, ras_topics, ras.transactional_id)
    with psycopg.connect(ras.database_url) as other, other.transaction():
        other.execute("LOCK TABLE ras.stored_events IN EXCLUSIVE MODE")
        # The ingester has fetched these messages and waits for its turn to write when Kafka goes.
        sent += ras_topics.send(batch_messages(during))
        wait_until(lambda: bool(store.waiting("relation")), what="the ingester waits for the lock")
        restartable_kafka.stop()

    wait_until(
        lambda: taken_in(store) == len(sent),
        what="what was fetched is ingested",
        state=lambda: taken_in(store),
    )
    wait_until(
        lambda: (
            ras.get(api, f"/batches/{during.batch_id}/status").json().get("overall_status")
            == "completed_successfully"
        ),
        what="the API tells the outcome",
    )
    publisher.wait_for_health("degraded", saying="Kafka does not answer", deadline_s=_DEADLINE_S)
    ingester.wait_for_health("degraded", saying="Kafka does not answer", deadline_s=_DEADLINE_S)
    assert projector.health == api.health == "ok"

    restartable_kafka.start()
    assert ingester.wait_for_health("ok", deadline_s=_DEADLINE_S) == ""
    assert publisher.wait_for_health("ok", deadline_s=_DEADLINE_S) == ""
    sent += ras_topics.send(batch_messages(after))
    wait_until_settled(store, ras_topics, ras.transactional_id)

    check_taken_in_once(store, ras_topics, sent)
    check_published_once(store, ras_topics, ras.transactional_id)


def _batch(number: int) -> BatchScript:
    return draw_script(
        f"broker away {number}", starts_at=START, user_id="teacher-0007", job_id=str(9000 + number), essays=8
    )
