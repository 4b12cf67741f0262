"""`ras demo` as a person starts it: a process of its own, judged by its exit code and what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from infrastructure.settings import DEMO_API_KEY
from tests.support.waiting import wait_until

COMMAND: Final = (sys.executable, "-m", "infrastructure.cli", "demo", "--json")
STOP_DEADLINE_S: Final = 60.0


def environment(temporary: Path, **settings: str) -> dict[str, str]:
    """Return our environment without settings of RAS, with temporary files in a folder of the test's own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAS_")}
    return {**inherited, "TMPDIR": str(temporary), **settings}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    """A whole demonstration, on a machine whose settings name servers that it must not touch."""
    temporary = tmp_path_factory.mktemp("demo")
    elsewhere = "127.0.0.1:1"
    settings = {
        "RAS_DATABASE_URL": f"postgresql://{elsewhere}/production",
        "RAS_KAFKA_BOOTSTRAP_SERVERS": elsewhere,
        "RAS_INTERNAL_API_KEY": "another key",
        "RAS_API_PORT": "1",
    }
    yield subprocess.run(
        [*COMMAND, "--batches", "40", "--seed", "7"],
        env=environment(temporary, **settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert list(temporary.iterdir()) == []


def test_everything_agrees(finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert result["agrees"] is True
    assert result["disagreements"] == []


def test_the_counts_fit_together(finished: subprocess.CompletedProcess[str]) -> None:
    result = json.loads(finished.stdout)
    messages, announced = result["messages"], result["announcements"]

    assert result["batches"] == sum(result["outcomes"].values()) == 40
    assert messages["sent"] == messages["taken_in"] == messages["recorded"] + messages["repeated"]
    assert messages["repeated"] > 0
    assert announced["results_ready"] >= 40
    assert result["notifications"] > sum(announced.values()), "each announcement, and progress"
    assert result["latency_ms"]["notifications"] == result["notifications"]
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p99"]
    assert all(rate > 0 for rate in result["rates"].values())


def test_one_batch_is_shown_with_its_essays(finished: subprocess.CompletedProcess[str]) -> None:
    sample = json.loads(finished.stdout)["sample"]
    ranked = [essay for essay in sample["essays"] if essay["rank"] is not None]

    assert ranked
    assert [essay["rank"] for essay in ranked] == sorted(essay["rank"] for essay in ranked)
    assert all(essay["grade"] and essay["score"] is not None for essay in ranked)
    assert all(essay["file_name"].endswith(".docx") for essay in sample["essays"])


def test_it_says_on_standard_error_what_it_does(finished: subprocess.CompletedProcess[str]) -> None:
    assert "Playing" in finished.stderr
    assert "Traceback" not in finished.stderr


# Kept running, and interrupted.


@contextmanager
def started(temporary: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demonstration, and kill it at the end if the test has not ended it."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(temporary),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def interrupted(process: subprocess.Popen[str], temporary: Path) -> tuple[int, str]:
    """Press Ctrl-C; return exit code and standard error once it has ended and left nothing behind."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=STOP_DEADLINE_S)
    _, alive = psutil.wait_procs(children, timeout=STOP_DEADLINE_S)
    assert alive == []
    assert list(temporary.iterdir()) == []
    assert "Traceback" not in errors
    return process.returncode, errors


def answer(place: Mapping[str, str], path: str) -> Any:
    headers = {"X-Internal-API-Key": place["internal_api_key"], "X-Service-ID": "api-gateway-service"}
    response = httpx.get(f"{place['api']}/internal/v1{path}", headers=headers)
    assert response.status_code == httpx.codes.OK, response.text
    return response.json()


def test_kept_running_it_says_where_everything_is_and_ends_without_a_trace(tmp_path: Path) -> None:
    with started(tmp_path, "--keep", "--batches", "12") as process:
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())

        assert place["agrees"] is True
        assert place["internal_api_key"] == DEMO_API_KEY
        assert answer(place, f"/batches/{place['batch_id']}/status")["user_id"] == place["user_id"]
        assert answer(place, f"/batches/user/{place['user_id']}")["pagination"]["total"] >= 1
        enriched = f"/essays/{place['essay_id']}/aggregated-analysis?include=assessment"
        wait_until(
            lambda: answer(place, enriched)["assessment"]["available"],
            what="the assessment app tells of the essay",
            state=lambda: answer(place, enriched)["assessment"],
        )
        code, _ = interrupted(process, tmp_path)

    assert code == 0


def test_interrupted_while_it_starts_it_ends_without_a_trace(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert process.stderr is not None
        assert "Starting" in process.stderr.readline()
        code, _ = interrupted(process, tmp_path)

    assert code == 130


def test_interrupted_while_it_plays_it_ends_without_a_trace(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert process.stderr is not None
        while "Playing" not in process.stderr.readline():
            assert process.poll() is None
        code, _ = interrupted(process, tmp_path)

    assert code == 130
