"""What becomes of a command whose output cannot be written, and how wrong usage is shown: one way for all."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from application import topics
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from projections.catalogue import PROJECTIONS
from tests.support.commands import ras
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

SCRIPT = small_batch("printed", essays=3)
PRINTING = [
    ("check",),
    ("check", "--json"),
    ("status",),
    ("status", "--watch", "--interval", "0.5"),
    ("status", "--watch", "--interval", "0.5", "--json"),
    ("outbox",),
    ("outbox", "--json"),
    ("history", SCRIPT.batch_id),
    ("history", SCRIPT.batch_id, "--json"),
    ("dead-letters", "list"),
    ("dead-letters", "show", "1", "--raw"),
    ("openapi",),
    ("--help",),
    ("--version",),
]


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database in which there is something to tell."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store:
            Ingestion(store).insist([dead_letter(topics.SPELLCHECK_RESULTS, partition=7)])
            Ingestion(store).insist(intakes_of(messages_of(SCRIPT)))
        Rebuilding(url, event_codec()).rebuild(PROJECTIONS)
        yield url


def _into(output: int, url: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAS_")}
    return subprocess.run(
        [sys.executable, "-m", "infrastructure.cli", *arguments],
        env={**environment, "RAS_DATABASE_URL": url},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_who_has_left_ends_a_command_in_silence(url: str, arguments: Sequence[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = _into(writing, url, arguments)
    finally:
        os.close(writing)

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_disk_is_a_sentence(url: str, arguments: Sequence[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = _into(full.fileno(), url, arguments)

    assert ended.returncode == 1
    assert ended.stderr == "ras: Standard output cannot be written: No space left on device.\n"


def test_a_reader_who_leaves_in_the_middle_ends_it_too() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "infrastructure.cli", "openapi"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (0, b"")


def test_without_an_output_a_command_does_its_work(url: str) -> None:
    shell = f'exec "{sys.executable}" -m infrastructure.cli check >&-'
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAS_")}
    done = subprocess.run(
        ["/bin/sh", "-c", shell], env={**environment, "RAS_DATABASE_URL": url}, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "usage", "sentence"),
    [
        ("history --as-of", "ras history [OPTIONS] {BATCH}", "Option '--as-of' requires an argument."),
        ("history", "ras history [OPTIONS] {BATCH}", "Missing argument 'BATCH'."),
        (
            "rebuild --rollback=x",
            "ras rebuild [OPTIONS] [NAME]...",
            "Option '--rollback' does not take a value.",
        ),
        (
            "rebuild nosuch",
            "ras rebuild [OPTIONS] [NAME]...",
            "Invalid value for NAME: There is no read model nosuch",
        ),
        ("parked drain --by", "ras parked drain [OPTIONS] [BATCH]...", "Option '--by' requires an argument."),
        ("dead-letters nosuch", "ras dead-letters [OPTIONS] COMMAND [ARGS]...", "No such command 'nosuch'."),
        ("nosuch", "ras [OPTIONS] COMMAND [ARGS]...", "No such command 'nosuch'."),
        ("--bogus", "ras [OPTIONS] COMMAND [ARGS]...", "No such option: --bogus"),
    ],
)
def test_wrong_usage_shows_the_right_one_and_then_a_sentence(line: str, usage: str, sentence: str) -> None:
    ended = ras(*line.split(), database_url="")

    assert (ended.exit_code, ended.output) == (2, "")
    shown, hint, empty, said = ended.errors.splitlines()
    # Whether an argument that may be repeated is followed by "..." depends on typer's version.
    assert shown.removesuffix("...") == f"Usage: {usage}".removesuffix("...")
    assert hint == f"Try '{usage.partition(' [')[0]} -h' for help."
    assert (empty, said.startswith(f"ras: {sentence}")) == ("", True), said


def test_a_file_that_cannot_be_read_is_told_as_every_other_failure() -> None:
    ended = ras("bradley-terry", "/nowhere.csv", database_url="")

    assert (ended.exit_code, ended.output) == (2, "")
    assert ended.errors == "ras: /nowhere.csv: cannot be read: No such file or directory.\n"
