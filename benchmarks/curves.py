"""Growth of the store: what ingest, publish, rebuild, status, list and history cost at 0.1, 1 and 10 million events.

    python -m benchmarks.curves [--events 100000 1000000 10000000] [--svg docs/images/growth.svg]

One store grows from size to size with good batches of 30 essays. At each size: a message is ingested (300 more batches,
without Kafka, in this process), what was added is published by `ras publish`, all read models are rebuilt by
`ras rebuild`, and `ras serve` is asked about batches and teachers chosen at random. The baseline of each cost is the
same at the smallest size. Ten million events need 25 GB and more than an hour; what was measured of a size is printed at once.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from benchmarks.filling import ingest_all
from benchmarks.publish import PUBLISHED
from benchmarks.rebuild import rebuilt
from benchmarks.report import report, shown
from benchmarks.servers import BenchServers, bench_servers, role, wait_for, wait_until_ready
from infrastructure.cli.drawing import draw
from infrastructure.demo.bulk import iterate_bulk
from infrastructure.local.processes import free_port

_EVENTS_A_BATCH: Final = 67
_TIMED_BATCHES: Final = 300
_SMALLEST: Final = 100_000
"""In fewer new events the publisher finds too little for several transactions."""
_ASKED: Final = 200
_KEY: Final = "a-key-for-the-benchmark"
_HEADERS: Final = {"X-Internal-API-Key": _KEY, "X-Service-ID": "api-gateway-service"}
_DEADLINE_S: Final = 3600.0

Row = Mapping[str, Any]


def main() -> None:
    """Measure, report and draw."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--events", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    arguments.add_argument("--svg", type=Path, help="where to draw the curves (default: nowhere)")
    given = arguments.parse_args()
    sizes = sorted(given.events)
    if any(after - before < _SMALLEST for before, after in zip([0, *sizes], sizes, strict=False)):
        arguments.error(f"each size must be {_SMALLEST:,} events above the one before")
    rows: list[dict[str, Any]] = []
    with bench_servers() as servers:
        url = servers.database("curves")
        for number, events in enumerate(sizes):
            print(f"growing the store to {events:,} events", flush=True)
            found = _at_size(servers, url, number, events)
            print(*(f"  {row['what']}: {shown(row['measured'])}" for row in found), sep="\n", flush=True)
            rows += found
    smallest = {row["what"]: row["measured"] for row in rows[: len(rows) // len(sizes)]}
    for row in rows:
        row["times the smallest"] = row["measured"] / smallest[row["what"]]
    report("curves", "Costs as the store grows", rows)
    if given.svg:
        given.svg.write_text(draw({"growth": _figure(rows)})["growth"], encoding="utf-8")


def _at_size(servers: BenchServers, url: str, number: int, events: int) -> list[dict[str, Any]]:
    """Grow the store to about so many events, and return what everything costs there."""
    with psycopg.connect(url, autocommit=True) as database:
        here = _head(database)
        missing = (events - here) // _EVENTS_A_BATCH - _TIMED_BATCHES
        ingest_all(url, iterate_bulk(2 * number + 1, max(1, missing), 30), partition=2 * number)
        database.execute("VACUUM ANALYZE")
        timed = list(iterate_bulk(2 * number + 2, _TIMED_BATCHES, 30))
        begun = time.monotonic()
        ingest_all(url, timed, partition=2 * number + 1)
        ingest_us = 1e6 * (time.monotonic() - begun) / len(timed)
        publish_us = _published(servers, url, database)
        rebuild_us = 1e6 / rebuilt(url, "rebuild")["events/s"]
        database.execute("VACUUM ANALYZE")
        asked = _asked(servers, url, database)
        size = _head(database)
    costs = {
        "ingest, µs a message": ingest_us,
        "publish, µs an event passed": publish_us,
        "rebuild, µs an event": rebuild_us,
        **asked,
    }
    return [{"events": size, "what": what, "measured": cost} for what, cost in costs.items()]


def _published(servers: BenchServers, url: str, database: psycopg.Connection) -> float:
    """Return the microseconds for each event of the log that `ras publish` passes on its way to the end."""
    head = _head(database)
    row = database.execute(PUBLISHED).fetchone()
    before = int((row and row[0]) or 0)
    with role(servers, "publish", url, {}):
        begun, at_begin = wait_for(database, PUBLISHED, before + 1, time.monotonic() + 60)
        ended, at_end = wait_for(database, PUBLISHED, head - _EVENTS_A_BATCH, begun + _DEADLINE_S)
    return 1e6 * (ended - begun) / (at_end - at_begin)


def _asked(servers: BenchServers, url: str, database: psycopg.Connection) -> dict[str, float]:
    """Return the median milliseconds of each request, with the way there and back."""
    chosen = random.Random(1)
    rows = database.execute("SELECT batch_id, user_id FROM ras_batch_results.batches").fetchall()
    batches = chosen.sample(rows, min(_ASKED, len(rows)))
    port = free_port()
    settings = {"RAS_API_PORT": str(port), "RAS_INTERNAL_API_KEY": _KEY}
    with (
        role(servers, "serve", url, settings),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=_HEADERS, timeout=60) as client,
    ):
        wait_until_ready(port)
        return {
            "status, ms": _median(client, [f"/internal/v1/batches/{batch}/status" for batch, _ in batches]),
            "list of a teacher, ms": _median(
                client, [f"/internal/v1/batches/user/{user}?limit=20" for _, user in batches]
            ),
            "history, ms": _median(client, [f"/internal/v1/batches/{batch}/history" for batch, _ in batches]),
        }


def _median(client: httpx.Client, paths: Sequence[str]) -> float:
    times = []
    for path in paths:
        begun = time.monotonic()
        client.get(path).raise_for_status()
        times.append(1000 * (time.monotonic() - begun))
    return statistics.median(times)


def _head(database: psycopg.Connection) -> int:
    row = database.execute("SELECT coalesce(max(notification_id), 0) FROM ras.stored_events").fetchone()
    assert row is not None
    return int(row[0])


def _figure(rows: Sequence[Row]) -> Mapping[str, Any]:
    """Return the curves as a Vega-Lite specification: a small chart for each cost, from zero."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "data": {"values": [dict(row) for row in rows]},
        "facet": {"field": "what", "type": "nominal", "title": None, "sort": [row["what"] for row in rows]},
        "columns": 3,
        "resolve": {"scale": {"y": "independent"}},
        "spec": {
            "width": 190,
            "height": 120,
            "mark": {"type": "line", "point": True},
            "encoding": {
                "x": {
                    "field": "events",
                    "type": "quantitative",
                    "scale": {"type": "log"},
                    "axis": {"title": "events in the store", "format": "~s", "tickCount": 3},
                },
                "y": {
                    "field": "measured",
                    "type": "quantitative",
                    "scale": {"zero": True},
                    "axis": {"title": None, "tickCount": 4},
                },
            },
        },
    }


if __name__ == "__main__":
    main()
