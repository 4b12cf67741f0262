"""A misspelt setting is reported with the name that was probably meant; nothing else changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infrastructure.unknown_settings import unknown_settings

_KNOWN = ("RAS_KAFKA_BOOTSTRAP_SERVERS", "RAS_API_PORT", "RAS_INTERNAL_API_KEY")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RAS_KAFKA_BOOTSTRAP", "RAS_KAFKA_BOOTSTRAP_SERVERS"),
        ("RAS_KAFKA_BOOTSTRAP_SERVER", "RAS_KAFKA_BOOTSTRAP_SERVERS"),
        ("RAS_API_PROT", "RAS_API_PORT"),
        ("ras_internal_apikey", "RAS_INTERNAL_API_KEY"),
    ],
)
def test_the_nearest_setting_is_named(name: str, meant: str) -> None:
    (sentence,) = unknown_settings([name], _KNOWN)

    assert sentence == f"{name.upper()} is not a setting and has no effect. Did you mean {meant}?"


def test_a_name_that_resembles_nothing_points_to_the_list() -> None:
    assert list(unknown_settings(["RAS_COLOUR"], _KNOWN)) == [
        "RAS_COLOUR is not a setting and has no effect. README.md lists the settings."
    ]


def test_settings_other_variables_and_those_of_the_tests_are_no_matter() -> None:
    assert list(unknown_settings(["RAS_API_PORT", "ras_api_port", "PATH", "RAS_TEST_CACHE"], _KNOWN)) == []


@pytest.mark.parametrize("by", ["environment", "file"])
def test_a_command_warns_on_standard_error(tmp_path: Path, by: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAS_")}
    if by == "environment":
        environment["RAS_KAFKA_BOOTSTRAP"] = "kafka.example:9092"
    else:
        (tmp_path / ".env").write_text("RAS_KAFKA_BOOTSTRAP=kafka.example:9092\n")

    ended = subprocess.run(
        [sys.executable, "-m", "infrastructure.cli", "ingest"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env=environment,
    )

    assert "Did you mean RAS_KAFKA_BOOTSTRAP_SERVERS?" in ended.stderr
    assert ended.stdout == ""
    assert ended.returncode == 2  # the database is not set, which has nothing to do with the warning
