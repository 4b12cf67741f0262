"""Growth: what one more message costs in a batch of 10,000 essays, beside a batch of 30.

    python -m benchmarks.growth [--essays 20000]

The use case on real PostgreSQL, without Kafka: translation, decision, encoding, transaction. The same
number of essays in all, in batches of either size; runs alternate, medians are shown.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from application.aggregates import AggregateCache
from application.deciding import Intake
from application.ingest import IngestMicroBatch
from application.messages import IncomingMessage
from application.translate import translate
from benchmarks.report import report
from benchmarks.servers import Message
from infrastructure.demo.stream import bulk
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.postgres import schema
from infrastructure.roles import bootstrap

TARGET = 1.3
_MICRO_BATCH = 1000
_RUNS = 3


def main() -> None:
    """Measure and report."""

    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--essays", type=int, default=20_000, help="essays in all")
    total = arguments.parse_args().essays
    times: dict[int, list[float]] = {30: [], 10_000: []}
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as postgres:
        for run in range(_RUNS):
            for essays, measured in times.items():
                url = postgres.create_database(f"growth_{essays}_{run}")
                schema.initialise(url)
                messages: list[Message] = list(bulk(run, max(1, total // essays), essays))
                measured.append(_microseconds_a_message(url, messages))
    small = statistics.median(times[30])
    rows = [
        {
            "essays a batch": essays,
            "µs a message": statistics.median(measured),
            "times 30 essays": statistics.median(measured) / small,
        }
        for essays, measured in times.items()
    ]
    report("growth", "Time a message by size of the batch", rows, notes=[f"Target: at most {TARGET}."])


def _microseconds_a_message(url: str, messages: list[Message]) -> float:
    store = bootstrap.event_store(url)
    use_case = IngestMicroBatch(store, AggregateCache(400_000))
    positions = use_case.positions([(topic, 0) for topic in sorted({m[0] for m in messages})])
    begun = time.perf_counter()
    for start in range(0, len(messages), _MICRO_BATCH):
        received_at = datetime.now(UTC)
        intakes = []
        for offset, (topic, key, value) in enumerate(messages[start : start + _MICRO_BATCH], start):
            message = IncomingMessage(topic, 0, offset, 0, key, value)
            intakes.append(Intake(message, translate(message, received_at=received_at)))
        use_case.take_in(intakes, positions)
    elapsed = time.perf_counter() - begun
    store.close()
    return elapsed / len(messages) * 1e6


if __name__ == "__main__":
    main()
