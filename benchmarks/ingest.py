"""Ingest: from Kafka to committed events, fsync on: one `ras ingest` with one to three processes, then two and four.

    python -m benchmarks.ingest [--batches 6000]

The messages (30-essay batches, 200 open at a time) lie in Kafka before the process starts; measured is
the time from its first commit to its last, and the CPU time of each process by message. The other processes
start in that time. The baseline is one transaction a message, as the original service works. Several ingesters are
measured from when each has its slices; "lock" is the share of their time in which they wait for one another.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from threading import Event, Thread
from typing import Any, LiteralString, NamedTuple, Self

import psycopg

from benchmarks.cpu import CpuByProcess
from benchmarks.report import report
from benchmarks.servers import BenchServers, Message, bench_servers, role, send_all, wait_for
from infrastructure.demo.stream import bulk

TARGET = 20_000
_DEADLINE_S = 300.0
_BASELINE_S = 15.0
_SAMPLE_S = 0.02


class Way(NamedTuple):
    """How messages are ingested, and for how long at most."""

    name: str
    ingesters: int = 1
    processes: int = 1
    at_once: int = 1000
    limit_s: float = _DEADLINE_S


_WAYS = (
    Way("one transaction a message", at_once=1, limit_s=_BASELINE_S),
    Way("one process"),
    Way("two processes", processes=2),
    Way("three processes", processes=3),
    Way("two ingesters", ingesters=2),
    Way("four ingesters", ingesters=4),
)

_RANGES: LiteralString = """
    SELECT coalesce(max(ranges), 0) FROM (
        SELECT count(*) AS ranges FROM ras.positions WHERE name LIKE 'intake/%' GROUP BY substring(name FROM '^intake/[^/]+/[0-9]+')
    ) AS partitions
"""
_WAITING: LiteralString = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""
_PROGRESS: LiteralString = "SELECT sum(taken_in) FROM ras.intake_counts"


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument(
        "--batches", type=int, default=6_000, help="batches of 30 essays (65 messages each)"
    )
    batches = arguments.parse_args().batches
    messages: list[Message] = list(bulk(1, batches, 30))
    with bench_servers() as servers:
        send_all(servers.bootstrap_servers, messages)
        rows = [_measured(servers, way, len(messages)) for way in _WAYS]
    for row in rows:
        row["times baseline"] = row["messages/s"] / rows[0]["messages/s"]
    report(
        "ingest",
        "Ingest, 30-essay batches",
        rows,
        notes=[f"Target: {TARGET:,} messages/s. The baseline is stopped after {_BASELINE_S:.0f} s."],
    )


def _measured(servers: BenchServers, way: Way, messages: int) -> dict[str, Any]:
    own = way.name.replace(" ", "_")
    database_url = servers.database(f"ingest_{own}")
    settings = {
        "RAS_CONSUMER_GROUP": own,
        "RAS_INGEST_PROCESSES": str(way.processes),
        "RAS_BATCH_MAX_MESSAGES": str(way.at_once),
    }
    with ExitStack() as stack:
        for _ in range(way.ingesters):
            stack.enter_context(role(servers, "ingest", database_url, settings))
        watch = stack.enter_context(psycopg.connect(database_url, autocommit=True))
        deadline = time.monotonic() + 60
        wait_for(watch, _RANGES, way.ingesters, deadline)
        begun, at_begin = wait_for(watch, _PROGRESS, 1, deadline)
        cpu, locks = CpuByProcess(), stack.enter_context(_LockWaits(database_url))
        ended, at_end = wait_for(watch, _PROGRESS, messages, begun + way.limit_s)
        used, waited = cpu.seconds(), locks.share()
    taken = at_end - at_begin
    return {
        "way": way.name,
        "messages": taken,
        "seconds": ended - begun,
        "messages/s": taken / (ended - begun),
        **{
            f"µs CPU, {process}": 1e6 * used.get(process, 0.0) / taken
            for process in ("ingest", "deciding", "postgres", "broker")
        },
        "lock": waited / way.ingesters,
    }


class _LockWaits:
    """Looks now and then how many sessions wait for a lock."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._samples: list[int] = []
        self._end = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def share(self) -> float:
        """Return how many sessions waited on average."""
        return sum(self._samples) / max(1, len(self._samples))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            while not self._end.wait(_SAMPLE_S):
                [waiting] = connection.execute(_WAITING).fetchone() or (0,)
                self._samples.append(waiting)


if __name__ == "__main__":
    main()
