"""Every benchmark, one after the other, each in a process of its own; then one table of all.

python -m benchmarks.all [NAME …]
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.report import RESULTS, shown

Row = Mapping[str, Any]


class Columns(NamedTuple):
    """Which columns of a benchmark's result are its names and its number, and the ratio to what.

    `ratio` is a column, or a column and its value in the row by whose number each is divided; its other names are the same.
    """

    names: tuple[str, ...]
    number: str
    ratio: str | tuple[str, Any]
    baseline: str


BENCHMARKS: Final = {
    "parse": Columns(("topic",), "translate µs", "ratio", "json.loads"),
    "ingest": Columns(("way",), "messages/s", "times baseline", "one transaction a message"),
    "growth": Columns(("essays a batch",), "µs a message", "times 30 essays", "a batch of 30"),
    "memory": Columns(("state",), "MB", ("state", "before the first message"), "before the first message"),
    "storage": Columns(("what", "of"), "bytes", "times its messages", "the messages in Kafka"),
    "backlog": Columns(("micro-batch",), "wrong", "of all", "all that are announced"),
    "publish": Columns(("way",), "events/s", "times baseline", "one event a transaction"),
    "relay": Columns(("what",), "RAS", "ratio", "an ordinary service with a relay"),
    "latency": Columns(("what",), "ms", "times one hop", "one hop through Kafka"),
    "live": Columns(("what",), "measured", "of the target", "the target"),
    "pages": Columns(("what",), "measured", "of the target", "the target"),
    "status_route": Columns(("route",), "requests/s", "of the baseline", "a bare route"),
    "bradley_terry": Columns(
        ("method", "decisions"), "median_s", ("method", "choix.opt_pairwise"), "choix.opt_pairwise"
    ),
    "history": Columns(("asked", "essays"), "p50 ms", "of the baseline", "the status query"),
    "rebuild": Columns(("way",), "events/s", "times baseline", "one transaction an event"),
    "assessments": Columns(("way", "decisions"), "CPU µs", "CPU times 1,000", "a job of 1,000"),
    "assessment_app": Columns(("what",), "p50 ms", "of the baseline", "scores alone"),
}
"""Every result, in the order in which the benchmarks run."""

_WRITTEN_BY: Final = {"pages": "live"}
"""Results that another benchmark writes."""


def main() -> None:
    """Run those named, or all, and print one table; the exit code is 1 if one failed."""
    names = [name for name in BENCHMARKS if name not in _WRITTEN_BY]
    wanted = sys.argv[1:] or names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(names)}.")
    failed = [
        name for name in wanted if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode
    ]
    _print([name for name in BENCHMARKS if _WRITTEN_BY.get(name, name) in {*wanted} - {*failed}])
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}.")


def _print(names: Sequence[str]) -> None:
    table = Table("benchmark", "what", "measured", "in", "ratio", "to", title="All, each beside its baseline")
    for name in names:
        columns = BENCHMARKS[name]
        for what, number, ratio in _summary(name, columns):
            shown_ratio = "" if ratio is None else shown(float(ratio))
            table.add_row(name, what, shown(number), columns.number, shown_ratio, columns.baseline)
    Console().print(table)


def _summary(name: str, columns: Columns) -> Iterator[tuple[str, Any, float | None]]:
    """Yield of each row of a result what it is, its number and its ratio, None where it has none."""
    rows: list[Row] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    for row in rows:
        number = row[columns.number]
        if isinstance(columns.ratio, str):
            ratio = row[columns.ratio]
        else:
            column, value = columns.ratio
            others = {other: row[other] for other in columns.names if other != column}
            bases = [
                base[columns.number]
                for base in rows
                if base[column] == value and all(base[other] == others[other] for other in others)
            ]
            ratio = number / bases[0] if bases else None
        yield ", ".join(_named(row, each) for each in columns.names), number, ratio if ratio != "" else None


def _named(row: Row, column: str) -> str:
    value = row[column]
    return value if isinstance(value, str) else f"{shown(value)} {column}"


if __name__ == "__main__":
    main()
