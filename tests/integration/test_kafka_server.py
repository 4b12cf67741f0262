"""The real broker of the tests does what tests rely on: isolation, durability, compaction."""

import asyncio
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.support import requirements
from tests.support.kafka_choice import NoBrokerError, real_broker
from tests.support.kafka_server import KafkaServer, broker_answers

_DEADLINE_S = 60.0


@pytest.fixture
def topic() -> str:
    return f"broker-test-{uuid.uuid4().hex}"


async def create(bootstrap: str, topic: str, configs: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, *values: bytes, key: bytes | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value, key=key)
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str, *, isolation: str = "read_committed") -> list[bytes]:
    """The values of the topic's one partition, from its start to its end as it is when called."""
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        values: list[bytes] = []
        async with asyncio.timeout(_DEADLINE_S):
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(partition, timeout_ms=200)).values():
                    values.extend(record.value for record in records)
        return values
    finally:
        await consumer.stop()


async def test_only_committed_records_are_seen_by_read_committed(kafka_bootstrap: str, topic: str) -> None:
    async def exchange() -> tuple[list[bytes], list[bytes]]:
        await create(kafka_bootstrap, topic, {})
        producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=topic)
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"aborted")
            await producer.abort_transaction()
            async with producer.transaction():
                await producer.send_and_wait(topic, b"committed")
        finally:
            await producer.stop()
        return await read(kafka_bootstrap, topic), await read(
            kafka_bootstrap, topic, isolation="read_uncommitted"
        )

    committed, everything = await exchange()
    assert committed == [b"committed"]
    assert everything == [b"aborted", b"committed"]


async def test_what_was_acknowledged_survives_a_stop_and_a_kill(
    restartable_kafka: KafkaServer, topic: str
) -> None:
    address = restartable_kafka.bootstrap_servers
    await create(address, topic, {})
    await send(address, topic, b"before the stop")
    restartable_kafka.stop()
    assert not broker_answers(address, timeout_s=0.5)
    restartable_kafka.start()
    assert restartable_kafka.bootstrap_servers == address
    # Only the log in memory is lost by a kill of the process: the system's page cache is not.
    await send(address, topic, b"before the kill")
    restartable_kafka.kill()
    restartable_kafka.start()
    assert await read(address, topic) == [b"before the stop", b"before the kill"]


async def test_a_topic_that_asks_for_it_is_compacted_within_the_deadline(
    kafka_bootstrap: str, topic: str
) -> None:
    configs = {
        "cleanup.policy": "compact",
        "segment.ms": "100",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "500",
    }

    async def values_once_compacted() -> list[bytes]:
        await create(kafka_bootstrap, topic, configs)
        sent = 0
        async with asyncio.timeout(_DEADLINE_S):
            while True:
                # A segment is rolled by the first record after its time, and the newest is never compacted.
                sent += 1
                await send(kafka_bootstrap, topic, b"%d" % sent, key=b"position")
                values = await read(kafka_bootstrap, topic)
                if len(values) < sent:
                    return values

    values = await values_once_compacted()
    assert values == sorted(values, key=int)


async def test_large_records_are_taken(kafka_bootstrap: str, topic: str) -> None:
    await create(kafka_bootstrap, topic, {})
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, max_request_size=6_000_000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"x" * 5_000_000)
    finally:
        await producer.stop()

    assert [len(value) for value in await read(kafka_bootstrap, topic)] == [5_000_000]


def test_a_machine_without_java_or_docker_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.delenv("RAS_TEST_KAFKA_BOOTSTRAP", raising=False)
    with pytest.raises(NoBrokerError, match="install Java 17 or newer and Maven"):
        real_broker(tmp_path)


def test_what_is_missing_is_left_out_and_what_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAS_TEST_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no kafka: install it") as skipped:
        requirements.missing("kafka", install="install it")
    reasons = [f"Skipped: {skipped.value}"] * 2 + ["Skipped: upstream's contracts are not beside the project"]
    assert requirements.left_out(reasons) == [("kafka", "install it", 2)]
    monkeypatch.setenv("RAS_TEST_REQUIRE", "browser, kafka")
    with pytest.raises(pytest.fail.Exception, match="required by RAS_TEST_REQUIRE"):
        requirements.missing("kafka", install="install it")
    monkeypatch.setenv("RAS_TEST_REQUIRE", "kafak")
    with pytest.raises(pytest.UsageError, match="kafak"):
        requirements.required()
