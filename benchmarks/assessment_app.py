"""The assessment app on a job of 35,000 decisions: into the read model, and out over HTTP.

    python -m benchmarks.assessment_app [--rounds 5]

A round adds a decision, so that nothing kept still holds, and asks for each answer twice: computed, and as
kept. The baseline, in the same run, is the statistics alone: the same decisions scored in this process,
without database, JSON or HTTP.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the app sets it; numpy reads it when it is imported

import argparse
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import exp
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from benchmarks.report import report
from domain.assessment_events import JudgeDecisionRecorded
from domain.bradley_terry import score_decisions
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import GuardedProcess, free_port
from tests.support.judging import Job
from tests.support.projecting import Chain

_TEXTS: Final = 300
_JUDGES: Final = 60
_DECISIONS: Final = 35_000
_EVENTS_AT_ONCE: Final = 2_000
_START_DEADLINE_S: Final = 60.0
_KEY: Final = "a-key-for-benchmarks"
_PREFIX: Final = "/internal/v1/assessments"
_ASKED: Final = {
    "summary": f"{_PREFIX}/b1/summary",
    "detailed": f"{_PREFIX}/164/detailed",
    "1,000 further decisions": f"{_PREFIX}/164/detailed?cursor=1000&limit=1000",
    "decisions as CSV, 10,000": f"{_PREFIX}/164/detailed.csv?table=decisions",
}


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rounds", type=int, default=5, help="times that each is asked")
    rounds = arguments.parse_args().rounds
    job = Job()
    events = list(_decisions(job))
    with (
        tempfile.TemporaryDirectory(prefix="ras-bench-") as folder,
        EmbeddedPostgres(Path(folder) / "postgres") as server,
    ):
        url = server.create_database("assessment_app")
        chain = Chain(url)
        begun = time.perf_counter()
        for start in range(0, len(events), _EVENTS_AT_ONCE):
            chain.project(events[start : start + _EVENTS_AT_ONCE])
        projected_s = time.perf_counter() - begun
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")  # as autovacuum does within a minute
        with _served(url, Path(folder)) as client:
            taken, sizes = _measured(client, chain, job, rounds)
    rate = _DECISIONS / projected_s
    baseline = statistics.median(_timed(lambda: _scores(events)) for _ in range(rounds))
    rows: list[Mapping[str, Any]] = [
        {
            "what": "scores alone, without HTTP",
            "p50 ms": baseline * 1000,
            "kilobytes": "",
            "of the baseline": 1.0,
        }
    ]
    rows += [
        {
            "what": name,
            "p50 ms": statistics.median(times) * 1000,
            "kilobytes": sizes[name] / 1000,
            "of the baseline": statistics.median(times) / baseline,
        }
        for name, times in taken.items()
    ]
    report(
        "assessment_app",
        f"A job of {_DECISIONS:,} decisions on {_TEXTS} texts by {_JUDGES} judges",
        rows,
        notes=[f"Medians of {rounds} rounds.", f"Into the read model: {rate:,.0f} decisions/s, fsync on."],
    )


def _decisions(job: Job) -> Iterator[JudgeDecisionRecorded]:
    """Yield decisions on pairs drawn at random, made by the model with an sd of 1.5 logits."""
    chance = random.Random(1)
    strength = {f"essay-{number:04}": chance.gauss(0, 1.5) for number in range(_TEXTS)}
    texts = list(strength)
    for _ in range(_DECISIONS):
        one, other = chance.sample(texts, 2)
        if chance.random() > 1 / (1 + exp(strength[other] - strength[one])):
            one, other = other, one
        yield job.decides(one, other, judge=f"judge-{chance.randrange(_JUDGES):02}")


def _scores(events: list[JudgeDecisionRecorded]) -> None:
    score_decisions(
        [event.judge or "" for event in events],
        [event.essay_a_id for event in events],
        [event.essay_b_id for event in events],
    )


def _measured(
    client: httpx.Client, chain: Chain, job: Job, rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    taken: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    for number in range(rounds + 1):
        chain.project([job.decides("essay-0000", "essay-0001", judge="judge-00")])
        for name, path in _ASKED.items():
            for how in ("computed", "kept") if name in ("summary", "detailed") else ("read",):
                begun = time.perf_counter()
                answer = client.get(path)
                elapsed = time.perf_counter() - begun
                answer.raise_for_status()
                sizes[f"{name}, {how}"] = len(answer.content)
                if number:  # the first round opens connections and prepares statements
                    taken.setdefault(f"{name}, {how}", []).append(elapsed)
    return taken, sizes


def _timed(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def _served(url: str, folder: Path) -> Iterator[httpx.Client]:
    """`ras serve-assessments` in a process of its own."""
    port = free_port()
    process = GuardedProcess(
        [sys.executable, "-m", "infrastructure.cli", "serve-assessments"],
        log=folder / "serve-assessments.log",
        stop_signal=signal.SIGTERM,
        grace_s=10,
        environment={
            "RAS_DATABASE_URL": url,
            "RAS_INTERNAL_API_KEY": _KEY,
            "RAS_ASSESSMENTS_PORT": str(port),
        },
    )
    headers = {"X-Internal-API-Key": _KEY, "X-Service-ID": "result_aggregator_service"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            _wait_until_alive(client)
            yield client
    finally:
        process.stop()


def _wait_until_alive(client: httpx.Client) -> None:
    deadline = time.monotonic() + _START_DEADLINE_S
    while True:
        try:
            client.get("/healthz/live").raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
