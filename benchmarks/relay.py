"""RAS beside an ordinary service of its kind (`relay_service.py`) on the same servers: what people have, and RAS.

    python -m benchmarks.relay [--batches 3000] [--events 50000]

Ingest: both read the same messages (30-essay batches, 65 messages each) from the same topics into a PostgreSQL with
fsync on. Send: as many events lie in the outbox of each, and each becomes two records that Kafka acknowledges.
Measured is the rate from the first to the last, or within 20 s, and the CPU time that each process took.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg

from application import topics
from benchmarks.cpu import CpuByProcess
from benchmarks.publish import fill
from benchmarks.relay_service import TABLES
from benchmarks.report import report
from benchmarks.servers import BenchServers, Message, bench_servers, role, send_all, wait_for
from infrastructure.demo.stream import bulk
from infrastructure.local.processes import GuardedProcess

_LIMIT_S = 20.0
_RAS_INGESTED: LiteralString = "SELECT sum(taken_in) FROM ras.intake_counts"
_RAS_SENT: LiteralString = "SELECT 2 * max(position) FROM ras.positions WHERE name LIKE 'publisher/%'"
_INGESTED: LiteralString = "SELECT number FROM progress WHERE name = 'ingested'"
_SENT: LiteralString = "SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL"
_FILL: LiteralString = """
    INSERT INTO outbox (topic, key, value)
    SELECT topic, 'batch-' || number, convert_to(repeat('x', 700), 'UTF8')
    FROM generate_series(1, %s) number, unnest(%s::text[]) topic
"""
_OUT = [topics.BATCH_RESULTS_READY, topics.TEACHER_NOTIFICATION_REQUESTED]

_Measured = tuple[float, dict[str, float]]
"""How many a second, and the µs of CPU for each, by process."""


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--batches", type=int, default=3_000, help="batches of 30 essays (65 messages each)"
    )
    arguments.add_argument("--events", type=int, default=50_000, help="events to send, two records each")
    given = arguments.parse_args()
    messages: list[Message] = list(bulk(1, given.batches, 30))
    with bench_servers() as servers:
        send_all(servers.bootstrap_servers, messages)
        rows = [
            *_rows(
                "ingest, messages",
                _ordinary(servers, "ingest", len(messages)),
                _ras(servers, "ingest", len(messages)),
            ),
            *_rows(
                "send, records",
                _ordinary(servers, "relay", len(_OUT) * given.events),
                _ras(servers, "publish", len(_OUT) * given.events),
            ),
        ]
    report("relay", "An ordinary service with an outbox table and a polling relay, and RAS", rows)


def _rows(what: str, ordinary: _Measured, ras: _Measured) -> list[dict[str, Any]]:
    """Return the rate, the CPU of each process and that of all."""
    rows = [
        {"what": f"{what}/s", "ordinary service": ordinary[0], "RAS": ras[0], "ratio": ras[0] / ordinary[0]}
    ]
    for process in sorted({*ordinary[1], *ras[1]}):
        theirs, ours = ordinary[1].get(process, 0.0), ras[1].get(process, 0.0)
        ratio = ours / theirs if theirs and ours else ""
        rows.append(
            {"what": f"{what}: µs CPU, {process}", "ordinary service": theirs, "RAS": ours, "ratio": ratio}
        )
    return rows


def _ordinary(servers: BenchServers, name: str, wanted: int) -> _Measured:
    database_url = servers.postgres.create_database(f"ordinary_{name}")
    with psycopg.connect(database_url, autocommit=True) as watch:
        watch.execute(TABLES)
        watch.execute(_FILL, (wanted // len(_OUT) if name == "relay" else 0, _OUT))
        with _service(servers, name, database_url):
            return _measured(watch, _SENT if name == "relay" else _INGESTED, wanted)


def _ras(servers: BenchServers, name: str, wanted: int) -> _Measured:
    database_url = servers.database(f"ras_{name}")
    if name == "publish":
        fill(database_url, wanted // len(_OUT))
    settings = {"RAS_CONSUMER_GROUP": "relay-ras", "RAS_TRANSACTIONAL_ID": "relay-ras"}
    with (
        psycopg.connect(database_url, autocommit=True) as watch,
        role(servers, name, database_url, settings),
    ):
        return _measured(watch, _RAS_SENT if name == "publish" else _RAS_INGESTED, wanted)


@contextmanager
def _service(servers: BenchServers, name: str, database_url: str) -> Iterator[GuardedProcess]:
    process = GuardedProcess(
        [
            *(sys.executable, "-m", "benchmarks.relay_service", name),
            *(database_url, servers.bootstrap_servers, "relay"),
        ],
        log=servers.folder / f"relay-{name}.log",
        stop_signal=signal.SIGTERM,
        grace_s=10,
    )
    try:
        yield process
    finally:
        process.stop()


def _measured(watch: psycopg.Connection, progress: LiteralString, wanted: int) -> _Measured:
    begun, first = wait_for(watch, progress, 1, time.monotonic() + 60)
    cpu = CpuByProcess()
    ended, last = wait_for(watch, progress, wanted, begun + _LIMIT_S)
    used = cpu.seconds()
    return (last - first) / (ended - begun), {name: 1e6 * s / (last - first) for name, s in used.items()}


if __name__ == "__main__":
    main()
