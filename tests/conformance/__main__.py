"""`make conformance`: generated requests to both APIs on an embedded PostgreSQL. Exit code 0: they do what is described."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from tests.conformance.installation import serving
from tests.conformance.schemathesis_run import APIS, run
from tests.support.postgres_server import fresh_database


def main() -> int:
    """Run, and print what schemathesis found and how often each operation answered what."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument(
        "--examples", type=int, default=50, help="random requests per operation (default: 50)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other requests (default: 1)")
    options = parser.parse_args()
    agrees = True
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder, "postgres")) as server:
        for name in APIS:
            started = time.monotonic()
            with fresh_database(server.superuser_url) as url, serving(url, Path(folder, name)) as served:
                outcome = run(
                    name,
                    served,
                    Path(folder, f"{name}-run"),
                    seed=options.seed,
                    examples=options.examples,
                    stateful=True,
                )
            sys.stdout.write(outcome.output)
            sys.stdout.writelines(f"  {line}\n" for line in outcome.lines())
            sys.stdout.write(f"{outcome.requests:,} requests in {time.monotonic() - started:.0f} s\n")
            agrees &= outcome.exit_code == 0 and not outcome.never_succeeded() and not outcome.faults()
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
