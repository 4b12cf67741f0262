"""Kafka is there and gives no answer: it is noticed within seconds, commands end, and the roles recover or can be ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from infrastructure.demo.stream import stream
from tests.support.accounts import check_published_once, check_taken_in_once, wait_until_settled
from tests.support.kafka_server import KafkaServer
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics

_MESSAGES: Final = list(stream(20_261_127, 2, class_sizes=(1, 3)))
_DEADLINE_S: Final = 120.0


def test_roles_report_a_broker_that_accepts_and_never_answers_recover_from_it_and_can_be_ended(
    restartable_kafka: KafkaServer, ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ingester, publisher, projector = running = [
        ras.start(role, shutdown_timeout_s="5").wait_until_ready()
        for role in ("ingest", "publish", "project")
    ]
    half = len(_MESSAGES) // 2
    sent = ras_topics.send(_MESSAGES[:half])
    wait_until_settled(store, ras_topics, ras.transactional_id)

    with restartable_kafka.paused():
        starting = [ras.start(role, shutdown_timeout_s="5") for role in ("ingest", "publish")]
        for role in starting:
            role.wait_for_health("degraded", saying="Kafka", deadline_s=_DEADLINE_S)
        for role in (ingester, publisher):
            role.wait_for_health("degraded", deadline_s=_DEADLINE_S)
        assert projector.health == "ok"
        _end(starting)

    for role in running:
        role.wait_for_health("ok", deadline_s=_DEADLINE_S)
    sent += ras_topics.send(_MESSAGES[half:])
    wait_until_settled(store, ras_topics, ras.transactional_id)
    check_taken_in_once(store, ras_topics, sent)
    check_published_once(store, ras_topics, ras.transactional_id)
    with restartable_kafka.paused():
        _end(running)


def _end(roles: Sequence[RoleProcess]) -> None:
    """End them by SIGTERM: within their grace period, by force where a server does not answer."""
    for role in roles:
        assert role.terminate() in {0, 1}, f"`ras {role.name}` had to be killed"
        assert "Traceback" not in role.output


def test_commands_that_ask_a_broker_that_never_answers_end_with_a_sentence(
    restartable_kafka: KafkaServer, ras: Installation, tmp_path: Path
) -> None:
    file = tmp_path / "stream.jsonl"
    value = orjson.loads(_MESSAGES[0].value or b"")
    file.write_bytes(orjson.dumps({"topic": _MESSAGES[0].topic, "key": None, "headers": {}, "value": value}))
    with restartable_kafka.paused():
        ending = [
            ras.start(*command) for command in (("init",), ("check",), ("replay", str(file)), ("status",))
        ]
        codes = {command.name: command.wait_for_end(deadline_s=_DEADLINE_S) for command in ending}

    assert codes == {"init": 1, "check": 1, "replay": 1, "status": 0}  # `status` reports all that it knows
    for command in ending:
        assert "Kafka does not answer" in command.output, command.name
        assert "Traceback" not in command.output
