"""A command loads what it works with; its help, a completed word and a mistyped option load none of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from infrastructure.cli.app import app
from tests.support.upstream import SCENARIOS

# What takes long to load. Not pydantic: typer reads options with it.
_HEAVY = {
    "aiokafka",
    "alembic",
    "confluent_kafka",
    "eventsourcing",
    "httpx",
    "numpy",
    "opentelemetry",
    "psycopg",
    "rich",
    "scipy",
    "sqlalchemy",
    "starlette",
    "structlog",
    "uvicorn",
}

# Runs one command line after the other in one process, and tells of each what it has loaded.
_RUN = """
import contextlib, io, json, sys
from infrastructure.cli.main import main

for line in json.loads(sys.argv[1]):
    before = set(sys.modules)
    sys.argv = ["ras", *line]
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
    loaded = sorted(set(sys.modules) - before)
    print(json.dumps([code, output.getvalue(), errors.getvalue(), loaded]))
"""


@dataclass(frozen=True)
class _Ended:
    code: int
    output: str
    errors: str
    loaded: set[str]
    """The heavy libraries that it was the first to load."""


def _ras(*lines: Sequence[str], **environment: str) -> Iterator[_Ended]:
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("RAS_", "_RAS_"))}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(lines)],
        env={**settings, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for line in done.stdout.splitlines():
        code, output, errors, loaded = json.loads(line)
        yield _Ended(code, output, errors, _HEAVY.intersection(loaded))


def _commands() -> Iterator[tuple[str, ...]]:
    groups: list[tuple[tuple[str, ...], object]] = [((), get_command(app))]
    while groups:
        path, command = groups.pop()
        yield path
        if isinstance(command, TyperGroup):
            groups += [((*path, name), sub) for name, sub in command.commands.items()]


def test_no_help_loads_what_a_command_works_with() -> None:
    commands = list(_commands())
    assert ("dead-letters", "retry") in commands

    shown = _ras(*([*path, "--help"] for path in commands))

    for path, help_text in zip(commands, shown, strict=True):
        assert (path, help_text.code, help_text.loaded) == (path, 0, set())
        assert help_text.output.startswith(" ".join(("Usage: ras", *path)))


def test_a_usage_error_is_told_before_anything_is_loaded() -> None:
    wrong = {
        "publich": "publich",
        "publish --resume": "--resume",
        "publish --resume-at -1": "--resume-at",
        "publish --resume-at 3 --after-restore": "exclude each other",
        "history": "BATCH",
        "history batch-0001 --as-of yesterday": "--as-of",
        "history batch-0001 --by luck": "--by",
        "dead-letters list --state lost": "--state",
        "dead-letters retry --reason luck": "--reason",
        "dead-letters retry --all --since yesterday": "--since",
        "dead-letters discard 1": "--why",
        "dead-letters replace 1 file": "--why",
        "parked drain --by=": "--by",
    }

    refusals = _ras(*(line.split() for line in wrong))

    for (line, word), refused in zip(wrong.items(), refusals, strict=True):
        assert (line, refused.code, refused.loaded) == (line, 2, set())
        assert word in refused.errors


def test_the_version_and_a_completed_word_load_nothing() -> None:
    (version,) = _ras(["--version"])
    (completed,) = _ras([], _RAS_COMPLETE="complete_bash", COMP_WORDS="ras dead-letters re", COMP_CWORD="2")

    assert (version.code, version.loaded) == (0, set())
    assert (completed.output.split(), completed.loaded) == (["retry", "replace"], set())


@pytest.mark.parametrize(
    ("command", "spared"),
    [
        (["ingest"], {"alembic", "httpx", "numpy", "sqlalchemy", "starlette", "uvicorn"}),
        (["publish"], {"alembic", "httpx", "sqlalchemy", "starlette", "uvicorn"}),
        (["project"], {"aiokafka", "alembic", "httpx", "numpy", "starlette", "uvicorn"}),
        (["serve"], {"alembic", "httpx", "numpy", "scipy", "sqlalchemy", "starlette", "uvicorn"}),
        (["serve-assessments"], {"aiokafka", "alembic", "httpx", "numpy", "scipy", "starlette", "uvicorn"}),
        (["history", "batch-0001"], {"aiokafka", "alembic", "httpx", "numpy", "sqlalchemy", "starlette"}),
        (
            ["replay", str(SCENARIOS / "single-essay.jsonl")],
            {"alembic", "eventsourcing", "httpx", "psycopg", "sqlalchemy", "starlette"},
        ),
        (["check"], {"alembic", "httpx", "starlette"}),
        (["dead-letters", "list"], {"aiokafka", "alembic", "httpx", "starlette"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_that_a_setting_stops_has_loaded_nothing_of_others(
    command: list[str], spared: set[str], tmp_path: Path
) -> None:
    unset = {"RAS_DATABASE_URL": "", "RAS_KAFKA_BOOTSTRAP_SERVERS": "", "RAS_HOME": str(tmp_path)}

    (stopped,) = _ras(command, **unset)

    assert (stopped.code, stopped.loaded & spared) == (2, set())
    assert "is not set" in stopped.errors


def test_a_command_ends_without_a_walk_over_all_that_it_has_loaded() -> None:
    program = "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0))"
    program += "; from infrastructure.cli.main import main; main()"

    ended = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, text=True, check=True, timeout=120
    )

    assert ended.stdout.splitlines()[1:] == ["True"]


def test_the_health_of_a_role_loads_nothing_that_only_an_api_needs() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import infrastructure.roles.http_server, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout.split()

    assert {"alembic", "cryptography", "httpx", "jwt", "numpy", "psycopg", "sqlalchemy"}.isdisjoint(loaded)
    assert "uvicorn" in loaded


def test_no_summary_in_the_help_is_cut_off_at_80_columns() -> None:
    command = get_command(app)
    assert isinstance(command, TyperGroup)
    context = command.make_context("ras", [], resilient_parsing=True, terminal_width=80, max_content_width=80)

    text = command.get_help(context)

    assert "dead-letters" in text
    assert [line for line in text.splitlines()[1:] if line.endswith("...")] == []
