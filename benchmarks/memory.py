"""Memory: an ingester that holds 10,000 open batches of 30 essays.

    python -m benchmarks.memory [--batches 10000]

A `ras ingest` process ingests all but the last three messages of each batch, so that none is done; then
the resident set of the process is read. The baseline is the same process before the first message.
"""

from __future__ import annotations

import argparse
import time

import psutil
import psycopg

from application.topics import (
    BATCH_ESSAYS_REGISTERED,
    ESSAY_SLOT_ASSIGNED,
    SPELLCHECK_RESULTS,
)
from benchmarks.report import report
from benchmarks.servers import bench_servers, role, send_all
from infrastructure.demo.stream import bulk

TARGET_MB = 300
_OPENING = {BATCH_ESSAYS_REGISTERED, ESSAY_SLOT_ASSIGNED, SPELLCHECK_RESULTS}


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--batches", type=int, default=10_000, help="open batches of 30 essays")
    batches = arguments.parse_args().batches
    messages = [m for m in bulk(1, batches, 30, open_batches=batches) if m[0] in _OPENING]
    with bench_servers() as servers:
        database_url = servers.database("memory")
        with (
            role(servers, "ingest", database_url, {}),
            psycopg.connect(database_url, autocommit=True) as watch,
        ):
            empty = _resident_mb()
            send_all(servers.bootstrap_servers, messages)
            peak = 0.0
            while _taken(watch) < len(messages):
                peak = max(peak, _resident_mb())
                time.sleep(0.1)
            full = _resident_mb()
    report(
        "memory",
        f"Resident memory of the ingester, {batches:,} open batches of 30",
        [
            {"state": "before the first message", "MB": empty},
            {"state": "peak while ingesting", "MB": max(peak, full)},
            {"state": "all batches open", "MB": full},
        ],
        notes=[f"Target: at most {TARGET_MB} MB."],
    )


def _taken(watch: psycopg.Connection) -> int:
    row = watch.execute("SELECT coalesce(sum(taken_in), 0) FROM ras.intake_counts").fetchone()
    return int(row[0]) if row else 0


def _resident_mb() -> float:
    """Return the resident set of the ingester, found among our own descendants."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process in psutil.Process().children(recursive=True):
            command = process.cmdline()
            if command[-2:] == ["infrastructure.cli", "ingest"] and "guard.py" not in " ".join(command):
                return float(process.memory_info().rss) / 1e6
        time.sleep(0.1)
    raise RuntimeError("the ingester does not run")


if __name__ == "__main__":
    main()
