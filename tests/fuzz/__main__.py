"""`make fuzz`: mutated messages through a whole RAS on an embedded PostgreSQL. Exit code 0: all accounted for."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.fuzz.messages import fields_at_extremes, mutated_messages
from tests.fuzz.whole_ras import put_through
from tests.support.postgres_server import fresh_database

_LOOK_S = 5.0


def main() -> None:
    """Run, report on standard error how far it is, and print the account."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000, help="mutated messages (default: 20,000)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the same seed draws the same messages (default: 1)"
    )
    parser.add_argument(
        "--fields", action="store_true", help="first every field of every contract at every extreme"
    )
    options = parser.parse_args()
    started = time.monotonic()
    runs = {"mutated messages": mutated_messages(options.seed, options.messages)}
    if options.fields:
        runs = {"fields at their extremes": fields_at_extremes(options.seed)} | runs
    with _postgres() as admin_url:
        for name, messages in runs.items():
            with fresh_database(admin_url) as url:
                sys.stdout.write(f"{name}, seed {options.seed}\n")
                outcome = put_through(url, messages, _Teller())
                sys.stdout.writelines(f"  {line}\n" for line in outcome.lines())
    sys.stdout.write(f"All accounted for, nothing stopped. {time.monotonic() - started:.0f} s\n")


@contextmanager
def _postgres() -> Iterator[str]:
    if given := os.environ.get("RAS_TEST_DATABASE_URL"):
        yield given
        return
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder)) as server:
        yield server.url


class _Teller:
    """Reports a step every few seconds, and each new one."""

    def __init__(self) -> None:
        self._what = ""
        self._told_at = 0.0

    def __call__(self, what: str, done: int) -> None:
        if what == self._what and time.monotonic() - self._told_at < _LOOK_S:
            return
        self._what, self._told_at = what, time.monotonic()
        sys.stderr.write(f"  {what}: {done:,}\n")


if __name__ == "__main__":
    main()
