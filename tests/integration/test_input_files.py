"""What a person may name as input: none of it ends in a stack trace, waits for ever or fills the memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

import pytest
from pydantic import ValidationError

from infrastructure import input_files
from infrastructure.cli import stream_file
from infrastructure.cli.failures import CommandError
from infrastructure.cli.stream_file import read_stream
from infrastructure.http.identity import keys_from
from infrastructure.http.service_keys import read_service_keys
from infrastructure.input_files import LARGEST_SETTINGS_BYTES, open_input, read_input
from infrastructure.kafka import clients
from infrastructure.kafka_settings import KafkaSettings
from infrastructure.local.deployment import _made, _make_private, kept_key
from infrastructure.local.running_note import running
from infrastructure.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[2]
LINE = '{"topic": "t", "key": null, "value": {"a": 1}}\n'
DECISIONS = "judge,chosen,not_chosen\nj1,a,b\nj1,b,c\nj1,c,a\n"


def ran(
    *arguments: str | bytes,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    folder: Path = ROOT,
    **settings: str | bytes,
) -> tuple[int, str]:
    """Run a command; return its exit code and its errors."""
    environment = {os.fsencode(n): os.fsencode(v) for n, v in os.environ.items() if not n.startswith("RAS_")}
    environment |= {os.fsencode(name): os.fsencode(value) for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "infrastructure.cli", *arguments],
        cwd=folder,
        env=environment | {b"PYTHONPATH": os.fsencode(ROOT)},
        stdin=stdin,
        capture_output=True,
        timeout=120,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("command", ["replay", "bradley-terry"])
@pytest.mark.parametrize("file", ["/dev/zero", "/dev/urandom", "/dev/full", "/"])
def test_a_device_or_a_folder_is_a_sentence(command: str, file: str) -> None:
    code, errors = ran(command, file)

    assert code in {1, 2}
    assert "cannot be read: " in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", ["replay", "bradley-terry"])
def test_a_device_as_standard_input_is_a_sentence(command: str) -> None:
    with Path("/dev/zero").open("rb") as zero:
        code, errors = ran(command, "-", stdin=zero)

    assert code in {1, 2}
    assert "tandard input" in errors
    assert "it is a device, not a file" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", b"\xff\xfe"),
        ("replay", b"/nowhere/\xe9"),
        (b"\xff",),
        ("dead-letters", "list", "--topic", b"\xc3"),
    ],
)
def test_an_argument_that_is_not_text_is_a_sentence(arguments: tuple[str | bytes, ...]) -> None:
    code, errors = ran(*arguments, RAS_DATABASE_URL="postgresql://ras@127.0.0.1:1/ras")

    assert code == 2
    assert errors.startswith("ras: An argument is not text in utf-8: '")
    assert errors.count("\n") == 1
    assert errors.isascii()


def test_a_setting_that_is_not_text_is_a_sentence() -> None:
    code, errors = ran("status", RAS_DATABASE_URL=b"postgresql://ras\xff@127.0.0.1/ras")

    assert code == 2
    assert errors.startswith("ras: RAS_DATABASE_URL is not text in utf-8: ")


@pytest.fixture(params=["/dev/zero", "pipe", "folder", "too large"])
def unreadable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Something that is not a file of settings."""
    place = tmp_path / "named"
    match request.param:
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "too large":
            place.touch()
            os.truncate(place, LARGEST_SETTINGS_BYTES + 1)
        case device:
            place.symlink_to(device)
    return place


@pytest.mark.parametrize("command", ["status", "up", "replay"])
def test_a_pipe_as_env_file_ends_every_command_with_a_sentence(command: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")

    code, errors = ran(command, *(["-"] if command == "replay" else []), folder=tmp_path)

    assert (code, errors) == (2, "ras: The file .env cannot be read: it is a pipe, not a file.\n")


def test_an_env_file_without_an_end_is_a_sentence(unreadable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable.rename(unreadable.with_name(".env"))
    monkeypatch.chdir(unreadable.parent)
    if (unreadable.parent / ".env").is_dir():
        load_settings()  # a virtual environment may have this name
        return

    with pytest.raises(SettingsError, match=r"^The file \.env cannot be read: it (is a|has more)"):
        load_settings()


def test_an_empty_device_as_env_file_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)

    load_settings()


def test_every_setting_that_names_a_file_refuses_what_is_not_one(
    unreadable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_files, "_WRITER_DEADLINE_S", 0.2)
    readers: dict[str, Callable[[], object]] = {
        "service_keys_file": lambda: read_service_keys(unreadable),
        "jwt_jwks": lambda: keys_from(Settings(jwt_jwks=str(unreadable), jwt_secret=None)),
        "database_url": lambda: Settings(
            database_url=f"postgresql://ras@127.0.0.1/ras?sslmode=verify-full&sslrootcert={unreadable}"
        ),
    }
    for name in ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile"):
        given = KafkaSettings(kafka_security_protocol="SSL", kafka_ssl_certfile=ROOT / "README.md")
        given = given.model_copy(update={name: unreadable})
        readers[name] = partial(_tls_of, given, monkeypatch)
    named = {name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)}
    assert named - {"home"} <= readers.keys()

    for name, read in readers.items():
        with pytest.raises(
            (SettingsError, ValidationError), match=rf"(?i)RAS_{name}.* |^1 valid.*\n{name}"
        ) as told:
            read()
        assert re.search(r"it (is a |has more than )|Is a directory", str(told.value)), name


@pytest.mark.parametrize("kind", ["/dev/zero", "pipe", "file"])
def test_a_home_that_is_not_a_folder_is_a_sentence(kind: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    if kind == "pipe":
        os.mkfifo(home)
    elif kind == "file":
        home.touch()
    else:
        home = Path(kind)

    with pytest.raises(SettingsError, match=r"^RAS_HOME: the folder .* cannot be made: File exists"):
        _made(home)


def test_files_that_ras_keeps_in_its_home_are_not_waited_for(
    unreadable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_files, "_WRITER_DEADLINE_S", 0.2)
    home = unreadable.parent
    unreadable.rename(home / "running.json")

    assert running(home) is None

    (home / "running.json").rename(home / "internal-api-key")
    with pytest.raises(SettingsError, match=r"^RAS_HOME: .*internal-api-key cannot be read: "):
        kept_key(home)


def test_a_pipe_without_a_writer_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(input_files, "_WRITER_DEADLINE_S", 0.2)

    with pytest.raises(
        CommandError, match=r"cannot be read: it is a pipe to which nobody has written within 0.2 s"
    ):
        read_stream(pipe)


@pytest.mark.parametrize("content", [LINE * 3, LINE * 5000], ids=["short", "long"])
def test_a_pipe_with_a_writer_is_read_to_its_end(tmp_path: Path, content: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(content,))
    writer.start()

    messages = read_stream(pipe)
    writer.join()

    assert len(messages) == content.count("\n")


def test_a_pipe_whose_writer_takes_its_time_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_files, "_WRITER_DEADLINE_S", 0.0001)
    reading, writing = os.pipe()
    os.write(writing, b"a")
    with open_input(f"/dev/fd/{reading}") as opened:
        assert opened.read(1) == b"a"
        threading.Timer(0.3, _finish, (writing,)).start()
        assert opened.read() == b"bc"
    os.close(reading)


def test_an_empty_device_and_a_file_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")

    assert read_input("/dev/null") == b""
    assert read_input(tmp_path / "file") == b"content"
    with pytest.raises(OSError, match="it has more than 6 bytes"):
        read_input(tmp_path / "file", most=6)


def test_a_line_without_an_end_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_file, "_LONGEST_LINE", len(LINE))
    (tmp_path / "file").write_text(LINE + "\0" * 100_000)

    with pytest.raises(CommandError, match="line 2: it has more than 47 characters"):
        read_stream(tmp_path / "file")


def test_standard_input_that_is_not_utf_8_is_a_sentence() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"topic": "\xff"}\n')
    os.close(writing)

    code, errors = ran("replay", "-", stdin=reading)
    os.close(reading)

    assert code == 1
    assert "Standard input cannot be read: it is not UTF-8 text." in errors


def test_decisions_come_through_a_pipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, DECISIONS.encode())
    os.close(writing)

    code, errors = ran("bradley-terry", "-", stdin=reading)
    os.close(reading)

    assert (code, errors) == (0, "")


def test_the_folder_of_an_earlier_release_is_closed_and_one_with_other_things_is_not(tmp_path: Path) -> None:
    ours, shared = tmp_path / "ours", tmp_path / "shared"
    for folder in (ours, shared):
        (folder / "postgres").mkdir(parents=True)
        (folder / "internal-api-key").touch()
        folder.chmod(0o755)
    (shared / "holiday.jpg").touch()

    _make_private(ours)
    _make_private(shared)

    assert ours.stat().st_mode & 0o777 == 0o700
    assert shared.stat().st_mode & 0o777 == 0o755


def _tls_of(given: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(clients, "_settings", lambda: given)
    return clients._tls.__wrapped__()


def _finish(pipe: int) -> None:
    os.write(pipe, b"bc")
    os.close(pipe)
