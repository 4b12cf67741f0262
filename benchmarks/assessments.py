"""Judging jobs: what one more decision costs in a job of 1,000 and in one of 35,000, under conflicts.

    python -m benchmarks.assessments [--decisions 35000]

The use case on real PostgreSQL, without Kafka. Two ingesters take turns on one job, so that each finds the
other's decisions before its own micro-batch: the worst case for a stream whose messages have no key. The
baseline keeps no aggregates at hand and replays the whole job each time, as a plain reload after a conflict
does. The last table says what a start costs, when nothing is at hand, and what a job weighs in memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from application.aggregates import AggregateCache, load_aggregates
from application.deciding import Intake
from application.ingest import IngestMicroBatch
from application.messages import IncomingMessage
from application.topics import COMPARISON_RESULT
from application.translate import translate
from benchmarks.report import report
from domain.assessment import AssessmentAggregate, assessment_stream_id
from infrastructure.demo.answers import answers
from infrastructure.eventstore.store import EventStore
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.postgres import schema
from infrastructure.roles import bootstrap

TARGET: Final = 1.3
_JOB: Final = "164"
_MICRO_BATCH: Final = 100
_SMALL: Final = 1000
_MEASURED: Final = 2000
_BASELINE_MEASURED: Final = 400


class _Turns:
    """Ingesters with a partition each, one micro-batch after the other."""

    def __init__(
        self, store: EventStore, *, max_size: int, first_partition: int, values: Sequence[bytes]
    ) -> None:
        self._partitions = (first_partition, first_partition + 1)
        self._ingesters = [IngestMicroBatch(store, AggregateCache(max_size)) for _ in self._partitions]
        self._positions = [
            ingester.positions([(COMPARISON_RESULT, partition)])
            for ingester, partition in zip(self._ingesters, self._partitions, strict=True)
        ]
        self._values = values
        self._turn = 0

    def take(self, begin: int, end: int) -> tuple[float, float]:
        """Take in the decisions from `begin` to `end` (exclusive).

        Return the microseconds a decision ingested the median micro-batch: by the clock, and of this process.
        """
        taken: list[tuple[float, float]] = []
        for start in range(begin, end, _MICRO_BATCH):
            mine = self._turn % 2
            partition, positions = self._partitions[mine], self._positions[mine]
            offset = positions[COMPARISON_RESULT, partition] + 1
            received_at = datetime.now(UTC)
            begun, cpu = time.perf_counter(), time.process_time()
            intakes = []
            for place, value in enumerate(self._values[start : min(end, start + _MICRO_BATCH)], offset):
                message = IncomingMessage(COMPARISON_RESULT, partition, place, 0, None, value)
                intakes.append(Intake(message, translate(message, received_at=received_at)))
            self._ingesters[mine].take_in(intakes, positions)
            taken.append((time.perf_counter() - begun, time.process_time() - cpu))
            self._turn += 1
        by_clock, of_process = (statistics.median(column) for column in zip(*taken, strict=True))
        return by_clock / _MICRO_BATCH * 1e6, of_process / _MICRO_BATCH * 1e6


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--decisions", type=int, default=35_000, help="decisions of the large job")
    total = arguments.parse_args().decisions
    values = list(answers(1, total + 2 * _MEASURED))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as postgres:
        url = postgres.create_database("assessments")
        schema.initialise(url)
        store = bootstrap.event_store(url)
        ours = _Turns(store, max_size=400_000, first_partition=0, values=values)
        replaying = _Turns(store, max_size=0, first_partition=2, values=values)
        done = 0
        for decisions in (_SMALL, total):
            ours.take(done, decisions)
            begin, done = decisions, decisions + _MEASURED
            rows.append(_row("drafts and news (default)", decisions, ours.take(begin, done)))
            begin, done = done, done + _BASELINE_MEASURED
            rows.append(_row("replay of the job at each conflict", decisions, replaying.take(begin, done)))
        cold = _cold_start(store)
        store.close()
    for row in rows:
        small = next(other for other in rows if other["way"] == row["way"])
        row["times 1,000"] = row["µs a decision"] / small["µs a decision"]
        row["CPU times 1,000"] = row["CPU µs"] / small["CPU µs"]
    report(
        "assessments",
        "Time a decision by size of the job, two ingesters in turn",
        rows,
        notes=[f"Target: at most {TARGET} times. Micro-batches of {_MICRO_BATCH}.", cold],
    )


def _row(way: str, decisions: int, microseconds: tuple[float, float]) -> dict[str, Any]:
    by_clock, of_process = microseconds
    return {"way": way, "decisions": decisions, "µs a decision": by_clock, "CPU µs": of_process}


def _cold_start(store: EventStore) -> str:
    stream_id = assessment_stream_id(_JOB)

    def load() -> AssessmentAggregate:
        with store.transaction() as transaction:
            job = load_aggregates({stream_id: AssessmentAggregate}, transaction.load)[stream_id]
        assert isinstance(job, AssessmentAggregate)
        job.settle()
        return job

    begun = time.perf_counter()
    load()
    seconds = time.perf_counter() - begun
    tracemalloc.start()
    job = load()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (
        f"With nothing at hand, the job of {job.size:,} requests is loaded in {seconds:.2f} s, outside the lock; "
        f"it holds {held / job.size:.0f} bytes a request, and loading takes {peak / 1e6:.0f} MB at its peak."
    )


if __name__ == "__main__":
    main()
