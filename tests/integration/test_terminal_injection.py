"""What others put into ids, keys and values does not drive the terminal of the person who looks at it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from application import topics
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from infrastructure.visible import visible, visible_lines
from projections.catalogue import PROJECTIONS
from tests.support.commands import ras
from tests.support.given import assessed, registered, slot_assigned, spellcheck_failed, spellchecked
from tests.support.ingesting import Ingestion, dead_letter
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.school import school_on

FORGED = "0: everything agrees."
HOSTILE = {
    "escape sequence": "\x1b[2J\x1b]0;title\x07",
    "C1 control": "\x9b31m\x90q\x9c",
    "new line": f"\n{FORGED}\r{FORGED}\v{FORGED}\x85{FORGED}",
    "line separators": f"\u2028{FORGED}\u2029{FORGED}",
    "bidirectional": "\u202egpj.exe\u2066\u2069\u200f\u061c",
    "invisible": "\u200b\u00ad\ufeff\u180e\U000e0041\u2060",
    "backspace": "\b\b\b\x7f\x00"[:4],
}
EVERYTHING = "".join(HOSTILE.values())
BATCH = f"b{EVERYTHING}"
LETTER = "1"
COMMANDS = [
    ("history", BATCH),
    ("history", BATCH, "--as-of", "2027-01-01T00:00:00Z"),
    ("explain", BATCH, "--all"),
    ("dead-letters", "list"),
    ("dead-letters", "show", LETTER),
    ("dead-letters", "retry", LETTER, "--yes"),
    ("check",),
    ("status",),
    ("outbox",),
    ("parked", "list"),
    ("rebuild",),
]
REFUSED = [
    ("history", f"unknown{EVERYTHING}"),
    ("history", "b", "--as-of", EVERYTHING),
    ("explain", f"unknown{EVERYTHING}"),
    ("parked", "drain", f"unknown{EVERYTHING}", "--yes"),
    ("dead-letters", "list", "--reason", EVERYTHING),
    ("dead-letters", "list", "--topic", EVERYTHING),
    ("dead-letters", "show", EVERYTHING),
    ("rebuild", EVERYTHING),
    ("replay", f"/nowhere/{EVERYTHING}"),
    ("bradley-terry", f"/nowhere/{EVERYTHING}"),
    (f"--{EVERYTHING}",),
    (EVERYTHING,),
]


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database in which every text that upstream may choose is hostile."""
    with fresh_database(postgres_server.url) as url:
        initialise(url)
        letter = dead_letter(
            topics.SPELLCHECK_RESULTS, value=f'{{"a": 1}}{EVERYTHING}'.encode() + b"\x9b\xff"
        )
        message = replace(
            letter.message,
            key=f"key{EVERYTHING}".encode(),
            headers=(("event_id", EVERYTHING.encode()), (EVERYTHING, b"value")),
        )
        with opened_store(url) as store:
            Ingestion(store).insist([replace(letter, message=message)])
        essays = [f"e{number}{text}" for number, text in enumerate(HOSTILE.values())]
        with school_on(url) as school:
            school.hear(
                BATCH,
                registered(*essays, user_id=f"teacher{EVERYTHING}"),
                *(slot_assigned(essay, file_name=f"file{EVERYTHING}.docx") for essay in essays),
                *(spellchecked(essay) for essay in essays[:-1]),
                spellcheck_failed(essays[-1]),
                assessed(*essays[:-1]),
            )
        Rebuilding(url, event_codec()).rebuild(PROJECTIONS)
        yield url


def assert_harmless(shown: str) -> None:
    """Only printable characters, between the tabs of a table in a pipe, on lines that begin as our own do."""
    lines = shown.split("\n")
    assert [line for line in lines if not line.replace("\t", "").isprintable()] == []
    assert [line for line in lines if line.strip().startswith(FORGED)] == []


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: visible(" ".join(words))[:40])
def test_no_command_lets_a_stored_text_drive_the_terminal(url: str, arguments: tuple[str, ...]) -> None:
    ran = ras(*arguments, database_url=url)

    assert ran.output
    assert_harmless(ran.output)
    assert_harmless(ran.errors)
    assert "Traceback" not in ran.errors


def test_the_hostile_texts_are_shown_as_escapes(url: str) -> None:
    shown = ras("history", BATCH, database_url=url).output
    letter = ras("dead-letters", "show", LETTER, database_url=url).output

    assert r"\x1b[2J" in shown
    assert r"\u202egpj.exe" in shown
    assert r"\x9b31m" in letter
    assert rf"\n{FORGED}\r{FORGED}" in letter


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda words: visible(" ".join(words))[:40])
def test_no_refusal_lets_an_argument_drive_the_terminal(url: str, arguments: tuple[str, ...]) -> None:
    ran = ras(*arguments, database_url=url)

    assert ran.exit_code in {1, 2}
    assert ran.output == ""
    assert_harmless(ran.errors)
    assert "Traceback" not in ran.errors


def test_json_has_the_texts_exactly(url: str) -> None:
    body = ras("history", BATCH, "--json", database_url=url).json

    assert body["batch_id"] == BATCH
    texts = " ".join(event["text"] for event in body["events"])
    assert all(text in texts for text in HOSTILE.values())


@pytest.mark.parametrize(
    "arguments", [COMMANDS[0], COMMANDS[4]], ids=lambda words: visible(" ".join(words))[:40]
)
def test_on_a_terminal_too(url: str, arguments: tuple[str, ...]) -> None:
    shown = on_terminal(url, *arguments)

    assert r"\x1b[2J" in "".join(shown.split()) or "history" not in arguments
    for text in (
        "\x1b[2J",
        "\x1b]0;",
        "\x07",
        "\x9b",
        "\u202e",
        "\u2066",
        "\u2028",
        "\x85",
        "\b",
        f"\n{FORGED}",
    ):
        assert text not in shown.replace("\r\n", "\n")


def test_the_bytes_of_a_letter_go_to_a_terminal_only_where_they_are_text(url: str) -> None:
    assert "would drive the terminal" in on_terminal(url, "dead-letters", "show", LETTER, "--raw")
    assert "\x1b[2J" in ras_bytes(url, "dead-letters", "show", LETTER, "--raw").decode("utf-8", "replace")


def test_an_encoding_without_a_character_does_not_end_a_command(url: str) -> None:
    ran = ras("history", BATCH, database_url=url, PYTHONIOENCODING="ascii")

    assert (ran.exit_code, ran.errors) == (0, "")


def test_printable_text_of_every_script_stays_as_it_is() -> None:
    for text in ("Uppsats nr 3 - åäö", "作文", "сочинение", "حسن", "e\u0301", "🏫", r"C:\n [bold]", ""):
        assert visible(text) == text


def test_every_other_character_becomes_ascii() -> None:
    everything = [chr(point) for point in range(0x110000)]
    hidden = "".join(c for c in everything if not c.isprintable())

    assert visible(hidden).isascii()
    assert visible(hidden).isprintable()
    assert {"\x1b", "\x9b", "\u202e", "\u2066", "\u2069", "\u2028", "\n", "\ud800", "\u00a0"} <= set(hidden)


def test_only_lines_of_our_own_stay_lines() -> None:
    text = "".join(Random(7).choices(["a", "\n", "\r", "\x1b", "\u2028"], k=200))

    assert visible_lines(text).split("\n") == [visible(line) for line in text.split("\n")]


def on_terminal(url: str, *arguments: str) -> str:
    """Run a command whose output and errors are a terminal; return what came there."""
    primary, secondary = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "infrastructure.cli", *arguments],
        env={**_environment(url), "TERM": "xterm", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=secondary,
    )
    os.close(secondary)
    shown = bytearray()
    try:
        while chunk := os.read(primary, 65536):
            shown += chunk
    except OSError:
        pass  # Linux reports so that the terminal's last user has closed it
    finally:
        os.close(primary)
        process.wait(60)
    return shown.decode("utf-8", "surrogateescape")


def ras_bytes(url: str, *arguments: str) -> bytes:
    """Run a command into a pipe; return its bytes."""
    command = [sys.executable, "-m", "infrastructure.cli", *arguments]
    return subprocess.run(command, env=_environment(url), capture_output=True, timeout=120, check=True).stdout


def _environment(url: str) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAS_")}
    return {**environment, "RAS_DATABASE_URL": url, "PYTHONPATH": str(Path(__file__).parents[2])}
