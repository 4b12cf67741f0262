"""The servers RAS runs on when none is given: real processes, started and ended for real."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from structlog.testing import capture_logs

from infrastructure.kafka.topics import UnfitBrokerError, create_missing_topics, partitions_by_topic
from infrastructure.local import embedded_postgres
from infrastructure.local.embedded_kafka import DEFAULT_PARTITIONS, LARGEST_MESSAGE_BYTES, EmbeddedKafka
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import EmbeddedServerError, GuardedProcess

_OWNER = """
import sys
from pathlib import Path
from infrastructure.local.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.url, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path_factory.mktemp("embedded-postgres")) as server:
        yield server


def value_of(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement)


def test_it_is_postgresql_18_which_syncs_to_disk(postgres: EmbeddedPostgres) -> None:
    assert str(value_of(postgres.url, "SHOW server_version")).startswith("18.")
    assert value_of(postgres.url, "SHOW fsync") == "on"
    assert value_of(postgres.url, "SHOW synchronous_commit") == "on"


def test_rows_survive_a_stop_and_the_address_stays(postgres: EmbeddedPostgres) -> None:
    before = postgres.url
    execute(before, "CREATE TABLE kept AS SELECT 42 AS answer")
    postgres.stop()
    with pytest.raises(EmbeddedServerError, match="not running"):
        _ = postgres.url
    postgres.start()
    assert postgres.url == before
    assert value_of(postgres.url, "SELECT answer FROM kept") == 42


def test_committed_rows_survive_a_crash(postgres: EmbeddedPostgres) -> None:
    execute(postgres.url, "CREATE TABLE committed AS SELECT 7 AS answer")
    postgres.kill()
    postgres.start()
    assert value_of(postgres.url, "SELECT answer FROM committed") == 7


def test_databases_are_apart_and_made_once(postgres: EmbeddedPostgres) -> None:
    one, two = postgres.create_database("one"), postgres.create_database("two")
    execute(one, "CREATE TABLE only_in_one (id int)")
    assert value_of(one, "SELECT to_regclass('only_in_one')::text") == "only_in_one"
    assert value_of(two, "SELECT to_regclass('only_in_one')::text") is None
    assert postgres.create_database("one") == one


def test_nobody_gets_in_without_the_password(postgres: EmbeddedPostgres) -> None:
    name, password = postgres.url.removeprefix("postgresql://").partition("@")[0].split(":")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url.replace(f"{name}:{password}@", f"{name}:guess@"))


def test_a_folder_deeper_than_a_socket_path_may_be_is_fine(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-folder-name"] * 6)
    assert len(str(deep)) > 107
    with EmbeddedPostgres(deep) as server:
        assert value_of(server.url, "SELECT 1") == 1


def test_a_folder_in_use_is_refused(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "_LOCK_DEADLINE_S", 0.1)
    folder = postgres._home
    with (
        capture_logs() as told,
        pytest.raises(EmbeddedServerError, match="another process runs PostgreSQL"),
    ):
        EmbeddedPostgres(folder).start()
    assert [entry["event"] for entry in told] == ["postgres.waiting_for_another_process"]


def test_a_folder_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerError, match="made by PostgreSQL 16"):
        EmbeddedPostgres(tmp_path).start()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_postgres_ends_with_its_owner_and_the_folder_is_usable_again(
    tmp_path: Path, signum: signal.Signals
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with owner:
        assert owner.stdout is not None
        execute(owner.stdout.readline().strip(), "CREATE TABLE kept AS SELECT 42 AS answer")
        owner.send_signal(signum)
    # The lock is free only when every process of the orphaned server has ended: this waits for that.
    with EmbeddedPostgres(tmp_path) as server:
        assert value_of(server.url, "SELECT answer FROM kept") == 42


def test_a_process_id_left_behind_by_a_crash_is_not_believed(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        server.kill()
        stale = tmp_path / "cluster" / "postmaster.pid"
        stale.write_text("\n".join([str(os.getpid()), *stale.read_text().splitlines()[1:]]) + "\n")
        server.start()
        assert value_of(server.url, "SELECT 1") == 1


def test_a_server_that_fails_is_reported_with_its_log(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        server.stop()
        (tmp_path / "cluster" / "global" / "pg_control").unlink()
        with pytest.raises(EmbeddedServerError, match=r"(?s)exit code.*pg_control"):
            server.start()


def test_a_server_that_does_not_end_is_killed(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    log = tmp_path / "stubborn.log"
    process = GuardedProcess(
        [sys.executable, "-c", stubborn], log=log, stop_signal=signal.SIGTERM, grace_s=0.2
    )
    process.wait_until(lambda: log.read_text() == "up\n", deadline_s=30, name="a stubborn server")
    process.stop()
    assert process.exit_code == 128 + signal.SIGKILL
    assert "killed" in log.read_text()


async def test_kafka_topics_have_the_partitions_asked_for() -> None:
    async def partitions(address: str, topic: str) -> set[int]:
        producer = AIOKafkaProducer(bootstrap_servers=address)
        await producer.start()
        try:
            found: set[int] = await producer.partitions_for(topic)
            return found
        finally:
            await producer.stop()

    with EmbeddedKafka({"results": 3, "positions": 1}) as kafka:
        kafka.create_topic("results")
        kafka.create_topic("later")
        address = kafka.bootstrap_servers
        assert await partitions(address, "results") == {0, 1, 2}
        assert await partitions(address, "positions") == {0}
        assert await partitions(address, "later") == set(range(DEFAULT_PARTITIONS))
    with pytest.raises(EmbeddedServerError, match="not running"):
        _ = kafka.bootstrap_servers


async def test_kafka_carries_transactions_to_a_consumer_group() -> None:
    async def exchange(address: str) -> set[bytes]:
        producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id="publisher")
        consumer = AIOKafkaConsumer(
            "results",
            bootstrap_servers=address,
            group_id="readers",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        await producer.start()
        await consumer.start()
        try:
            # Several transactions on one partition: what ends one lies before the next one's records.
            for value in (b"1", b"2", b"3"):
                async with producer.transaction():
                    await producer.send("results", value=value, key=b"batch-0001")
            seen: set[bytes] = set()
            async with asyncio.timeout(30):
                while len(seen) < 3:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        seen.update(record.value for record in records)
            await consumer.commit()
            return seen
        finally:
            await consumer.stop()
            await producer.stop()

    with EmbeddedKafka({"results": 3}) as kafka:
        assert await exchange(kafka.bootstrap_servers) == {b"1", b"2", b"3"}


async def test_a_broker_that_cannot_set_up_topics_is_named() -> None:
    """Anyone who gives his `ras up` the broker of another one."""
    with (
        EmbeddedKafka(partitions_by_topic()) as kafka,
        pytest.raises(UnfitBrokerError, match="unset RAS_KAFKA_BOOTSTRAP_SERVERS"),
    ):
        await create_missing_topics(kafka.bootstrap_servers)


async def test_two_messages_of_the_largest_size_in_a_row_are_both_there() -> None:
    """Larger ones would not be: the broker says that the second is gone, too."""

    async def send(address: str) -> list[tuple[int, int]]:
        partition = TopicPartition("large", 0)
        producer = AIOKafkaProducer(bootstrap_servers=address, max_request_size=16_000_000)
        consumer = AIOKafkaConsumer(bootstrap_servers=address)
        await producer.start()
        await consumer.start()
        there = []
        for _ in range(3):
            await producer.send_and_wait("large", b"x" * LARGEST_MESSAGE_BYTES, partition=0)
            first, end = (
                await consumer.beginning_offsets([partition]),
                await consumer.end_offsets([partition]),
            )
            there.append((first[partition], end[partition]))
        await consumer.stop()
        await producer.stop()
        return there

    with EmbeddedKafka({"large": 1}) as kafka:
        assert await send(kafka.bootstrap_servers) == [(0, 1), (0, 2), (1, 3)]
