"""Rebuild: every read model from the event store, one `ras rebuild` process, fsync on.

    python -m benchmarks.rebuild [--events 100000] [--large 1000000]

The events are those of good batches of 30 essays, in the store before the process starts. Measured is what
the command says of itself: from the first page read to the last row committed. Its memory is the peak
resident set of its process. The baselines, on the same events in the same run: the projector, a process of
its own, from its first position to its last; and a transaction an event. With `--large` a second, larger
store is rebuilt too, which shows whether memory grows with the log.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Final, LiteralString

import psutil
import psycopg
from sqlalchemy import Connection

from benchmarks.filling import ingest_all
from benchmarks.report import report
from benchmarks.servers import wait_for
from infrastructure.demo.bulk import iterate_bulk
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import GuardedProcess
from infrastructure.postgres import schema
from infrastructure.postgres.connections import maintenance_engine
from infrastructure.rebuild import sides
from infrastructure.rebuild.filling import LogReader
from projections.catalogue import PROJECTIONS

TARGET: Final = 30_000
_EVENTS_A_BATCH: Final = 67
_BASELINE_S: Final = 10.0
_DEADLINE_S: Final = 300.0
_LOOK_S: Final = 0.02
_SLOWEST: LiteralString = "SELECT min(position) FROM ras.positions WHERE name LIKE 'projection/%'"


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--events", type=int, default=100_000, help="events in the store")
    arguments.add_argument("--large", type=int, default=0, help="events in a second store (0: none)")
    given = arguments.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ras-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as postgres,
    ):
        url = _filled(postgres, "rebuild", given.events)
        rows = [
            _event_by_event(url),
            projected(url, Path(folder)),
            rebuilt(url, "rebuild"),
        ]
        if given.large:
            rows.append(rebuilt(_filled(postgres, "rebuild_large", given.large), "rebuild, the larger store"))
    for row in rows:
        row["times baseline"] = row["events/s"] / rows[0]["events/s"]
    report(
        "rebuild",
        "Rebuild of all read models, one process",
        rows,
        notes=[
            f"Target: {TARGET:,} events/s, and memory that does not grow with the log.",
            f"The first baseline is stopped after {_BASELINE_S:.0f} s. The proof is not part of the rate.",
        ],
    )


def _filled(postgres: EmbeddedPostgres, name: str, events: int) -> str:
    """Return a database in whose store about so many events lie, and nothing in its read models."""
    url = postgres.create_database(name)
    schema.initialise(url)
    ingest_all(url, iterate_bulk(1, max(1, events // _EVENTS_A_BATCH), 30))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return url


def _event_by_event(url: str) -> dict[str, Any]:
    """Project event by event, each in a transaction of its own, into a side that is dropped again."""
    engine = maintenance_engine(url)
    done = 0
    with engine.connect() as connection, LogReader(url, event_codec(), PROJECTIONS) as log:
        with connection.begin():
            for projection in PROJECTIONS:
                sides.create_fresh(connection, projection)
        begun = time.monotonic()
        for row in chain.from_iterable(log.chunks(0, log.head())):
            _project_one(connection, log.decoded(row))
            done += 1
            if time.monotonic() - begun > _BASELINE_S:
                break
        seconds = time.monotonic() - begun
        with connection.begin():
            for projection in PROJECTIONS:
                sides.drop(connection, sides.fresh_schema(projection.name))
    return _row("one transaction an event", done, seconds, None)


def _project_one(connection: Connection, recorded: Any) -> None:
    with connection.begin():
        for projection in PROJECTIONS:
            if isinstance(recorded.event, projection.events):
                elsewhere = sides.instead_of_live(projection, sides.fresh_schema(projection.name))
                for statement in projection.statements([recorded]):
                    connection.execute(
                        statement.executable, statement.parameters, execution_options=elsewhere
                    )


def projected(url: str, folder: Path) -> dict[str, Any]:
    """Let `ras project` fill the live side, and measure it."""
    with psycopg.connect(url, autocommit=True) as watch:
        head = watch.execute("SELECT max(notification_id) FROM ras.stored_events").fetchone()
        assert head is not None
        with _projector(url, folder):
            begun, at_begin = wait_for(watch, _SLOWEST, 1, time.monotonic() + 60)
            ended, at_end = wait_for(watch, _SLOWEST, int(head[0]), begun + _DEADLINE_S)
    return _row("projector", at_end - at_begin, ended - begun, None)


@contextmanager
def _projector(url: str, folder: Path) -> Iterator[None]:
    process = GuardedProcess(
        [sys.executable, "-m", "infrastructure.cli", "project"],
        log=folder / "project.log",
        stop_signal=signal.SIGTERM,
        grace_s=30,
        environment={"RAS_DATABASE_URL": url, "RAS_LOG_FORMAT": "json"},
    )
    try:
        yield
    finally:
        process.stop()


def rebuilt(url: str, what: str) -> dict[str, Any]:
    """Run `ras rebuild` and watch its resident set.

    What the kernel says of its peak in the end (`ru_maxrss`) would not do: a child inherits what its parent had.
    """
    peak = 0
    with psutil.Popen(
        [sys.executable, "-m", "infrastructure.cli", "rebuild", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "RAS_DATABASE_URL": url},
    ) as process:
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                peak = max(peak, process.memory_info().rss)
            time.sleep(_LOOK_S)
        printed = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"`ras rebuild` ended with exit code {process.returncode}")
    said = json.loads(printed)
    return _row(what, said["events"], said["seconds"], peak / 1e6)


def _row(what: str, events: int, seconds: float, peak_mb: float | None) -> dict[str, Any]:
    return {
        "way": what,
        "events": events,
        "seconds": seconds,
        "events/s": events / seconds,
        "peak MB": "" if peak_mb is None else round(peak_mb),
    }


if __name__ == "__main__":
    main()
