"""CPU time by process, of everything that a benchmark has started: it depends less on the neighbours than time does."""

from __future__ import annotations

import os
from collections import defaultdict
from itertools import pairwise

import psutil


class CpuByProcess:
    """The CPU time from here on, grouped by what a process is: `ingest`, `deciding`, `publish`, …, `postgres`, `broker`."""

    def __init__(self) -> None:
        self._before = _now()

    def seconds(self) -> dict[str, float]:
        """Return user and system seconds since the beginning, for each group that used any."""
        now = _now()
        return {name: used for name in sorted(now) if (used := now[name] - self._before[name]) > 0}


def _now() -> defaultdict[str, float]:
    seconds: defaultdict[str, float] = defaultdict(float)
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            name, command, times = process.name(), process.cmdline(), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # A server counts the processes that it has ended, for instance a session of PostgreSQL.
        seconds[_group(name, command)] += (
            times.user + times.system + times.children_user + times.children_system
        )
    seconds.pop("guard", None)
    return seconds


def _group(name: str, command: list[str]) -> str:
    if any(part.endswith("guard.py") for part in command):
        return "guard"
    if any("multiprocessing.spawn" in part for part in command):
        return "deciding"
    if "postgres" in name:
        return "postgres"
    if name == "java":
        return "broker"
    modules = ("infrastructure.cli", "benchmarks.relay_service")
    return next((after for part, after in pairwise(command) if part in modules), name)
