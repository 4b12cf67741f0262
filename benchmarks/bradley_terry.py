"""Bradley-Terry scores of large judging sessions, beside the choix library in the same run.

`python -m benchmarks.bradley_terry [--runs N]` prints a table and writes
`benchmarks/results/bradley_terry.json`. The sessions are synthetic and seeded: pairs drawn at random, decided
by the model with a standard deviation of 2 logits between the items.

What is compared is not the same amount of work. Ours starts from names and ends with scores, errors, item
and judge fit and reliability ("all statistics"), or with scores and information ("scores only"). choix starts
from pairs of numbers and ends with scores: the maximum of the likelihood with a small ridge `alpha`. It needs
the ridge: `ilsr_pairwise` refuses with its default of 0 as soon as some item won or lost everything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # as the commands set it; numpy reads it when it is imported

import choix
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from domain.bradley_terry import METHOD_VERSION, estimate_scores, score, scores_of
from domain.comparison_graph import Comparisons, PairCounts
from domain.findings import find

_RESULTS = Path(__file__).parent / "results" / "bradley_terry.json"
_ALPHA = 1e-6
_SIZES = ((300, 35_000, 1.0), (1_000, 100_000, 3.0))
"""Items, decisions, and the seconds that scores with all checks may take."""
_LARGE = (12_000, 1_000_000, 30.0)

Scores = NDArray[np.float64]


class Row(NamedTuple):
    """One method on one session; `furthest` is its largest distance from our scores, in logits.

    `cpu_s` is the median of the process's CPU time: what the run costs when others use the machine, too.
    """

    items: int
    decisions: int
    method: str
    median_s: float
    cpu_s: float
    runs_s: list[float]
    furthest: float
    target_s: float | None


class _Session(NamedTuple):
    judges: list[str]
    chosen: list[str]
    not_chosen: list[str]
    pairs: list[tuple[int, int]]


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3, help="runs a method (default 3)")
    parser.add_argument("--large", action="store_true", help="also 1,000,000 decisions on 12,000 texts, once")
    given = parser.parse_args()
    runs = max(1, given.runs)
    rows = [row for items, decisions, target in _SIZES for row in _measure(items, decisions, target, runs)]
    if given.large:
        rows += _measure(*_LARGE, 1, without_choix=True)
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:,.0f} MB")
    _print(rows, runs)
    _RESULTS.parent.mkdir(exist_ok=True)
    document = {
        "method_version": METHOD_VERSION,
        "python": platform.python_version(),
        "choix_alpha": _ALPHA,
        "rows": [row._asdict() for row in rows],
    }
    _RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _session(n_items: int, n_decisions: int) -> _Session:
    generator = np.random.RandomState(20120911)
    theta = generator.normal(0, 2, n_items)
    first = generator.randint(n_items, size=n_decisions)
    second = (first + generator.randint(1, n_items, size=n_decisions)) % n_items
    first_won = generator.random_sample(n_decisions) < 1 / (1 + np.exp(theta[second] - theta[first]))
    chosen, not_chosen = np.where(first_won, first, second), np.where(first_won, second, first)
    # Every item occurs, so the position of a name is its number.
    name = [f"essay-{n:05d}.docx" for n in range(n_items)]
    return _Session(
        judges=[f"teacher-{n:04d}" for n in generator.randint(40, size=n_decisions)],
        chosen=[name[i] for i in chosen],
        not_chosen=[name[i] for i in not_chosen],
        pairs=list(zip(chosen.tolist(), not_chosen.tolist(), strict=True)),
    )


def _measure(
    n_items: int, n_decisions: int, target_s: float, runs: int, *, without_choix: bool = False
) -> list[Row]:
    session = _session(n_items, n_decisions)
    columns = (session.judges, session.chosen, session.not_chosen)

    def all_statistics() -> Scores:
        scores = score(Comparisons.from_names(*columns))
        return np.array([item.theta for item in sorted(scores.items, key=lambda item: item.item)])

    def scores_only() -> Scores:
        return estimate_scores(PairCounts.of(Comparisons.from_names(*columns))).theta

    def with_checks() -> Scores:
        comparisons = Comparisons.from_names(*columns)
        estimate = estimate_scores(PairCounts.of(comparisons))
        find(comparisons, estimate, scores_of(comparisons, estimate))
        return estimate.theta

    methods: dict[str, tuple[Callable[[], Scores], float | None]] = {
        "RAS, with all checks": (with_checks, target_s),
        "RAS, all statistics": (all_statistics, None),
        "RAS, scores only": (scores_only, None),
        "choix.ilsr_pairwise": (lambda: choix.ilsr_pairwise(n_items, session.pairs, alpha=_ALPHA), None),
        "choix.opt_pairwise": (lambda: choix.opt_pairwise(n_items, session.pairs, alpha=_ALPHA), None),
    }
    if without_choix:
        methods = {method: run for method, run in methods.items() if method.startswith("RAS")}
    ours = all_statistics()  # also imports what is imported on demand, so that no run pays for it
    rows = []
    for method, (run, target) in methods.items():
        seconds, cpu = [], []
        for _ in range(runs):
            start, cpu_start = time.perf_counter(), time.process_time()
            found = run()
            seconds.append(round(time.perf_counter() - start, 4))
            cpu.append(round(time.process_time() - cpu_start, 4))
        furthest = float(np.abs(found - found.mean() - ours).max())
        rows.append(
            Row(
                *(n_items, n_decisions, method, statistics.median(seconds), statistics.median(cpu), seconds),
                *(round(furthest, 4), target),
            )
        )
    return rows


def _print(rows: list[Row], runs: int) -> None:
    table = Table(title=f"Bradley-Terry scores, median of {runs} runs (choix: alpha = {_ALPHA})")
    for heading in ("items", "decisions", "method", "seconds", "CPU s", "target", "furthest from ours"):
        table.add_column(heading, justify="left" if heading == "method" else "right", no_wrap=True)
    for row in rows:
        target = "" if row.target_s is None else f"< {row.target_s:g}"
        table.add_row(
            f"{row.items:,}",
            f"{row.decisions:,}",
            row.method,
            f"{row.median_s:.3f}",
            f"{row.cpu_s:.3f}",
            target,
            f"{row.furthest:.3f}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
