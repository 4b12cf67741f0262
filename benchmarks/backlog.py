"""A backlog: what is announced after a standstill, against what an uninterrupted run announces.

    python -m benchmarks.backlog [--batches 400]

The batches lie in Kafka before `ras ingest` starts, each message with the time at which it was sent. All
have trouble: essays that fail for good, that fail first and pass later, or a whole class that fails. An
announcement is wrong where the uninterrupted run, which sees the messages one by one in the order of their
times, announces something else of that batch at that place. `cpu_us` is what the ingester's process took
per message, its start included.
"""

from __future__ import annotations

import argparse
import time
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any, Final, LiteralString

import psycopg

from benchmarks.report import report
from benchmarks.servers import BenchServers, bench_servers, role, wait_for
from infrastructure.demo.message import UpstreamMessage
from tests.support.accounts import recorded_events
from tests.support.backlog import (
    Announced,
    announcements_in,
    announcements_of_an_uninterrupted_run,
    backlog,
    times_ms,
    wrong_announcements,
)
from tests.support.postgres_probe import probe
from tests.support.topics import Sender

_DEADLINE_S: Final = 300.0
_INGESTED: Final[LiteralString] = "SELECT sum(taken_in) FROM ras.intake_counts"


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--batches", type=int, default=400, help="batches of 8, 24 or 30 essays")
    messages = backlog(7, arguments.parse_args().batches)
    wanted = announcements_of_an_uninterrupted_run(messages)
    with bench_servers() as servers:
        with Sender(servers.bootstrap_servers) as sender:
            sender.send(messages, times_ms=times_ms(messages))
        rows = [_measured(servers, messages, wanted, most) for most in (1000, 100)]
    hours = (messages[-1].sent_at - messages[0].sent_at).total_seconds() / 3600
    report(
        "backlog", "Announcements after a standstill", rows, notes=[f"The stream lasts {hours:.2f} hours."]
    )


def _measured(
    servers: BenchServers, messages: list[UpstreamMessage], wanted: Announced, most: int
) -> dict[str, Any]:
    database_url = servers.database(f"backlog_{most}")
    settings = {"RAS_CONSUMER_GROUP": f"backlog-{most}", "RAS_BATCH_MAX_MESSAGES": str(most)}
    used = getrusage(RUSAGE_CHILDREN)
    with (
        role(servers, "ingest", database_url, settings),
        psycopg.connect(database_url, autocommit=True) as watch,
    ):
        begun = time.monotonic()
        ended, _ = wait_for(watch, _INGESTED, len(messages), begun + _DEADLINE_S)
    after = getrusage(RUSAGE_CHILDREN)
    with probe(database_url) as database:
        wrong = wrong_announcements(wanted, announcements_in(recorded_events(database)))
    cpu_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "micro-batch": most,
        "messages": len(messages),
        "announced": sum(map(len, wanted.values())),
        "wrong": sum(wrong.values()),
        "of all": sum(wrong.values()) / sum(map(len, wanted.values())),
        "wrong batches": len(wrong),
        "seconds": ended - begun,
        "cpu_us": 1e6 * cpu_s / len(messages),
    }


if __name__ == "__main__":
    main()
