"""Looking back: history, status at a time and readiness, of a batch of 30 essays and one of 10,000.

    python -m benchmarks.history [--rounds 20]

All of it is read from the event store and folded. The baseline is what answers about the present: the
status query on the read model, of the same batches, in the same run. The requests take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from application.explanation import ExplainReadiness
from application.history import BatchHistory
from application.time_travel import By
from benchmarks.report import report
from domain.batch import BatchAggregate, batch_stream_id
from infrastructure.gc_pacing import gc_paused
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.queries.batches import PostgresQueries
from infrastructure.queries.read_pool import ReadConnections
from infrastructure.roles.bootstrap import stream_reader
from tests.support.given import assessed, caused_by, minute, registered, slot_assigned, spellchecked
from tests.support.projecting import Chain

_SIZES = (30, 10_000)
_LATER = minute(100_000)


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rounds", type=int, default=20, help="times that each is asked")
    rounds = arguments.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="ras-bench-") as folder, EmbeddedPostgres(Path(folder)) as server:
        url = server.create_database("history")
        chain = Chain(url)
        events = {size: _told(chain, size) for size in _SIZES}
        with asyncio.Runner() as runner:
            rows = [row for size in _SIZES for row in _measured(runner, url, size, events[size], rounds)]
    report(
        "history",
        "What is asked of the past, against the status query on the read model",
        rows,
        notes=[f"Medians of {rounds} rounds, taken in turns; a page of history is 100 events."],
    )


def _told(chain: Chain, essays: int) -> int:
    """Put a batch that ran its course into store and read models; return how many events that made."""
    batch = BatchAggregate(batch_stream_id(_name(essays)))
    ids = [f"essay-{number:05}" for number in range(essays)]
    story = [registered(*ids), *map(slot_assigned, ids), *map(spellchecked, ids), assessed(*ids)]
    for offset, message in enumerate(story):
        message.tell(batch, caused_by(offset))
    events = batch.collect_events()
    chain.record(events)
    chain.project(events)
    return len(events)


def _measured(
    runner: asyncio.Runner, url: str, essays: int, events: int, rounds: int
) -> list[Mapping[str, Any]]:
    reads, streams = ReadConnections(url, size=1), stream_reader(url)
    queries, history = PostgresQueries(reads.rows), BatchHistory(streams.read)
    readiness = ExplainReadiness(streams.read)
    batch_id = _name(essays)

    def status_at() -> bytes:
        return orjson.dumps(history.status_at(batch_id, _LATER, By.RECORDED))

    async def status() -> bytes:
        answer = await queries.status(batch_id)
        assert answer is not None
        return orjson.dumps(answer.body)

    asked: dict[str, Callable[[], bytes]] = {
        "status, read model": lambda: runner.run(status()),
        "status as of a time": status_at,
        "readiness": lambda: orjson.dumps(readiness(batch_id)),
        "history, first page": lambda: orjson.dumps(history.page(batch_id, after=0, limit=100)),
        "history, all of it": lambda: orjson.dumps(list(history.events(batch_id))),
    }
    taken: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(rounds + 1):
        for name, ask in asked.items():
            begun = time.perf_counter()
            with gc_paused():  # as the API does
                ask()
            if number:  # the first round opens connections and prepares statements
                taken[name].append(time.perf_counter() - begun)
    runner.run(reads.close())
    streams.close()
    baseline = statistics.median(taken["status, read model"])
    return [
        {
            "essays": essays,
            "events": events,
            "asked": name,
            "p50 ms": statistics.median(times) * 1000,
            "of the baseline": statistics.median(times) / baseline,
        }
        for name, times in taken.items()
    ]


def _name(essays: int) -> str:
    return f"batch-of-{essays}"


if __name__ == "__main__":
    main()
