"""Ingest: from Kafka to committed events, one `ras ingest` process, fsync on.

    python -m benchmarks.ingest [--batches 6000]

The messages (30-essay batches, 200 open at a time) lie in Kafka before the process starts; measured is
the time from its first commit to its last. The baseline is the same process with one transaction a
message, as the original service works.
"""

from __future__ import annotations

import argparse
import time
from typing import Any, LiteralString

import psycopg

from benchmarks.report import report
from benchmarks.servers import BenchServers, Message, bench_servers, role, send_all, wait_for
from infrastructure.demo.stream import bulk

TARGET = 12_000
_DEADLINE_S = 300.0
_BASELINE_S = 15.0
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
        rows = [
            _measured(servers, "one transaction a message", 1, len(messages), limit_s=_BASELINE_S),
            _measured(servers, "micro-batches (default)", None, len(messages), limit_s=_DEADLINE_S),
        ]
    for row in rows:
        row["times baseline"] = row["messages/s"] / rows[0]["messages/s"]
    report(
        "ingest",
        "Ingest, 30-essay batches, one process",
        rows,
        notes=[f"Target: {TARGET:,} messages/s. The baseline is stopped after {_BASELINE_S:.0f} s."],
    )


def _measured(
    servers: BenchServers, name: str, batch: int | None, messages: int, *, limit_s: float
) -> dict[str, Any]:
    suffix = "default" if batch is None else str(batch)
    database_url = servers.database(f"ingest_{suffix}")
    settings = {"RAS_CONSUMER_GROUP": f"ingest-{suffix}"}
    if batch is not None:
        settings["RAS_BATCH_MAX_MESSAGES"] = str(batch)
    with (
        role(servers, "ingest", database_url, settings),
        psycopg.connect(database_url, autocommit=True) as watch,
    ):
        begun, at_begin = wait_for(watch, _PROGRESS, 1, time.monotonic() + 60)
        ended, at_end = wait_for(watch, _PROGRESS, messages, begun + limit_s)
    rate = (at_end - at_begin) / (ended - begun)
    return {"way": name, "messages": at_end - at_begin, "seconds": ended - begun, "messages/s": rate}


if __name__ == "__main__":
    main()
