"""Storage: bytes that an essay and a judge's decision take, in the log of PostgreSQL, in tables and in indexes.

    python -m benchmarks.storage [--batches 1000] [--decisions 20000]

Batches of 30 essays that run their course, and decisions of one judging job, go into the event store in
micro-batches; then `ras project` fills the read models. The baseline is the messages themselves: the bytes of
their values in Kafka.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from application.topics import COMPARISON_RESULT
from benchmarks.filling import ingest_all
from benchmarks.rebuild import projected
from benchmarks.report import report
from benchmarks.servers import Message
from infrastructure.demo.answers import answers
from infrastructure.demo.stream import bulk
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.postgres import schema

_ESSAYS = 30
_EVENTS: LiteralString = "SELECT pg_table_size('ras.stored_events'), pg_indexes_size('ras.stored_events')"
_READ_MODELS: LiteralString = """
    SELECT coalesce(sum(pg_table_size(c.oid)), 0)::bigint, coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname LIKE 'ras%' AND c.oid <> 'ras.stored_events'::regclass
"""


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--batches", type=int, default=1000, help="batches of 30 essays")
    arguments.add_argument("--decisions", type=int, default=20_000, help="decisions of the job")
    given = arguments.parse_args()
    decisions: list[Message] = [(COMPARISON_RESULT, None, value) for value in answers(1, given.decisions)]
    with tempfile.TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder) / "postgres") as postgres:
        rows = [
            *_measured(
                postgres,
                Path(folder),
                "essay",
                list(bulk(1, given.batches, _ESSAYS)),
                given.batches * _ESSAYS,
            ),
            *_measured(postgres, Path(folder), "decision", decisions, given.decisions),
        ]
    report(
        "storage",
        "Bytes of an essay in a batch of 30, and of a judge's decision",
        rows,
        notes=[
            "WAL as written, after `VACUUM ANALYZE` at the end of each part; sizes as PostgreSQL reports them."
        ],
    )


def _measured(
    postgres: EmbeddedPostgres, folder: Path, unit: str, messages: list[Message], units: int
) -> list[dict[str, Any]]:
    """Return the bytes of each unit: of its messages, of its events and of its rows in the read models."""
    url = postgres.create_database(f"storage_{unit}")
    schema.initialise(url)
    base = sum(len(value) for _, _, value in messages) / units
    rows = [_row("messages in Kafka", unit, base, base)]
    with psycopg.connect(url, autocommit=True) as watch:
        for where, sizes, fill in (
            ("event store", _EVENTS, lambda: ingest_all(url, messages)),
            ("read models", _READ_MODELS, lambda: projected(url, folder)),
        ):
            begun, empty = _written(watch), _sizes(watch, sizes)
            fill()
            written = _written(watch) - begun
            watch.execute("VACUUM ANALYZE")
            full = _sizes(watch, sizes)
            rows += [
                _row(f"{where}, WAL", unit, written / units, base),
                _row(f"{where}, table", unit, (full[0] - empty[0]) / units, base),
                _row(f"{where}, indexes", unit, (full[1] - empty[1]) / units, base),
            ]
    return rows


def _row(what: str, unit: str, size: float, base: float) -> dict[str, Any]:
    return {"what": what, "of": unit, "bytes": size, "times its messages": size / base}


def _written(watch: psycopg.Connection[Any]) -> int:
    """Return how many bytes of WAL the server has written."""
    row = watch.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
    assert row is not None
    return int(row[0])


def _sizes(watch: psycopg.Connection[Any], query: LiteralString) -> tuple[int, int]:
    row = watch.execute(query).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


if __name__ == "__main__":
    main()
