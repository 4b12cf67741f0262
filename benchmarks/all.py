"""Every benchmark, one after the other, each in a process of its own.

python -m benchmarks.all [NAME …]
"""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "parse",
    "ingest",
    "growth",
    "memory",
    "backlog",
    "publish",
    "relay",
    "latency",
    "live",
    "status_route",
    "bradley_terry",
    "history",
    "rebuild",
    "assessments",
    "assessment_app",
)


def main() -> None:
    """Run those named, or all; the exit code is 1 if one failed."""
    wanted = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in wanted if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    failed = [
        name for name in wanted if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode
    ]
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
