"""The servers that benchmarks run on: real PostgreSQL with fsync on, and the real broker of the tests."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import httpx
import psycopg
from confluent_kafka import Producer

from infrastructure.kafka.topics import create_missing_topics
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import GuardedProcess
from infrastructure.postgres import schema
from tests.support.kafka_choice import real_broker

Message = tuple[str, bytes | None, bytes]


@dataclass(frozen=True, slots=True)
class BenchServers:
    """One PostgreSQL server with any number of databases, and one broker with RAS's topics."""

    postgres: EmbeddedPostgres
    bootstrap_servers: str
    folder: Path

    def database(self, name: str) -> str:
        """Return a new database with the tables of RAS."""
        url = self.postgres.create_database(name)
        schema.initialise(url)
        return url


@contextmanager
def bench_servers() -> Iterator[BenchServers]:
    """Run both servers for the time of the block, with data in a temporary folder."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ras-bench-")))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        broker = stack.enter_context(real_broker(folder / "kafka"))
        asyncio.run(create_missing_topics(broker.bootstrap_servers))
        yield BenchServers(postgres, broker.bootstrap_servers, folder)


@contextmanager
def role(
    servers: BenchServers,
    name: str,
    database_url: str,
    settings: Mapping[str, str],
    arguments: Sequence[str] = (),
) -> Iterator[GuardedProcess]:
    """Run one role in a process of its own."""
    process = GuardedProcess(
        [sys.executable, "-m", "infrastructure.cli", name, *arguments],
        log=servers.folder / f"{name}.log",
        stop_signal=signal.SIGTERM,
        grace_s=30,
        environment={
            "RAS_DATABASE_URL": database_url,
            "RAS_KAFKA_BOOTSTRAP_SERVERS": servers.bootstrap_servers,
            "RAS_LOG_FORMAT": "json",
            **settings,
        },
    )
    try:
        yield process
    finally:
        process.stop()


def send_all(bootstrap_servers: str, messages: Sequence[Message]) -> None:
    """Put `messages` into their topics as fast as librdkafka can."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "linger.ms": 20,
            "queue.buffering.max.messages": 2_000_000,
            "queue.buffering.max.kbytes": 2_000_000,
            "message.max.bytes": 10_000_000,
            "partitioner": "murmur2_random",
        }
    )
    for topic, key, value in messages:
        producer.produce(topic, value, key=key)
    producer.flush(120)


def wait_for(
    watch: psycopg.Connection, query: LiteralString, wanted: int, deadline: float
) -> tuple[float, int]:
    """Return when (monotonic seconds) the number that `query` selects reached `wanted`, and that number.

    At `deadline` it returns what was reached by then.
    """
    while True:
        row = watch.execute(query).fetchone()
        reached = int(row[0] or 0) if row else 0
        now = time.monotonic()
        if reached >= wanted or now >= deadline:
            return now, reached
        time.sleep(0.01)


def wait_until_ready(port: int) -> None:
    """Return when the API at a port of this machine is ready. Raises TimeoutError after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/healthz/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise TimeoutError("ras serve was not ready within 60 s")
