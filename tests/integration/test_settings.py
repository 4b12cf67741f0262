"""Settings that make no sense stop the start with a sentence, and never with what a password is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infrastructure.settings import Settings, SettingsError, load_settings
from tests.support.commands import Ran, ras

Refuse = Callable[..., str]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Settings]:
    """Load settings from the variables given and nothing else."""
    for name in os.environ:
        if name.startswith("RAS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)  # where no .env is, unless a test writes one

    def loaded(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return loaded


@pytest.fixture
def refuse(load: Callable[..., Settings]) -> Refuse:
    """Load settings that are refused, and return the sentence."""

    def refused(**variables: str) -> str:
        with pytest.raises(SettingsError) as refusal:
            load(**variables)
        return str(refusal.value)

    return refused


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql://ras@db.example/ras",
        "postgres://ras:p%40ss@127.0.0.1:5432/ras?sslmode=require&application_name=ras",
        "postgresql://[::1]:5432/ras",
        "postgresql://one:5432,two:5433/ras?target_session_attrs=read-write",
        "postgresql:///ras?host=/run/postgresql",
        "postgresql://u:p#w@h/x",
    ],
)
def test_what_postgresql_can_read_is_a_database_url(load: Callable[..., Settings], url: str) -> None:
    assert load(RAS_DATABASE_URL=url).database_url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("host=127.0.0.1 dbname=ras", "must begin with postgresql://"),
        ("mysql://u:s3cret@h/ras", "must begin with postgresql://"),
        ("postgresql://[bad", "cannot be read"),
        ("postgresql://u:s3cret%zz@h/ras", "cannot be read"),
        ("postgresql://u:s3cret@[::1/ras", "cannot be read"),
        ("postgresql://u:s3cret@h/ras%00", "cannot be read"),
        ("postgresql://u:s3@cret@h/ras", "holds a second @"),
        ("postgresql://u:s3cret@h/ras?bogus=1", "knows no option 'bogus'"),
        ("postgresql://u:s3cret@h/ras?connect_timeout=soon", "connect_timeout must be a number"),
        ("postgresql://u:s3cret@h:99999999/ras", "the port must be a number from 1 to 65535"),
        ("postgresql://u:s3cret@h:65536/ras", "the port must be a number"),
        ("postgresql://u:s3cret@h:0/ras", "the port must be a number"),
        ("postgresql://u:s3cret@h:-1/ras", "the port must be a number"),
        ("postgresql://u:s3cret@h:²/ras", "the port must be a number"),
        ("postgresql://one:5432,two:x/ras", "the port must be a number"),
        ("postgresql:///ras?port=x", "the port must be a number"),
        ("postgresql://u:s3cret@h /ras", "holds a blank or an unprintable character"),
        ("postgresql://u:s3cret@h\n/ras", "holds a blank or an unprintable character"),
    ],
)
def test_anything_else_is_refused_without_a_word_of_it(refuse: Refuse, url: str, words: str) -> None:
    sentence = refuse(RAS_DATABASE_URL=url)

    assert sentence.startswith("RAS_DATABASE_URL: ")
    assert words in sentence
    assert "s3" not in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "servers",
    [
        "kafka.example:9092",
        "kafka_1",
        "127.0.0.1:1",
        "[::1]:9092",
        "[::1]",
        "::1",
        "one:9092,two:9092, three:9093",
    ],
)
def test_a_list_of_hosts_and_ports_names_kafka(load: Callable[..., Settings], servers: str) -> None:
    assert load(RAS_KAFKA_BOOTSTRAP_SERVERS=servers).kafka_bootstrap_servers == servers


@pytest.mark.parametrize(
    ("servers", "words"),
    [
        ("::bad::", "must be host:port"),
        ("PLAINTEXT://kafka:9092", "must be host:port"),
        ("kafka:9092,", "must be host:port"),
        (",", "must be host:port"),
        ("kafka 1:9092", "must be host:port"),
        ("somebody@kafka:9092", "must be host:port"),
        ("kafka:9092:9092", "must be host:port"),
        ("[::1:9092", "must be host:port"),
        ("[::1]9092", "must be host:port"),
        ("[kafka]:9092", "must be host:port"),
        ("kafka:99999", "the port must be a number"),
        ("kafka:0", "the port must be a number"),
        ("kafka:", "the port must be a number"),
        ("kafka:+9092", "the port must be a number"),
        ("kafka:9092/topic", "the port must be a number"),
        ("one:9092,two:many", "the port must be a number"),
        ("[::1]:99999", "the port must be a number"),
    ],
)
def test_anything_else_is_no_kafka(refuse: Refuse, servers: str, words: str) -> None:
    sentence = refuse(RAS_KAFKA_BOOTSTRAP_SERVERS=servers)

    assert sentence.startswith("RAS_KAFKA_BOOTSTRAP_SERVERS: ")
    assert words in sentence


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RAS_HOME", " "),
        ("RAS_API_HOST", ""),
        ("RAS_API_PORT", ""),
        ("RAS_API_PORT", "4003,4004"),
        ("RAS_RETRY_MAX_S", "nan"),
        ("RAS_SHUTDOWN_TIMEOUT_S", "inf"),
        ("RAS_FUTURE_TOLERANCE_DAYS", "1000000000000"),
        ("RAS_BATCH_MAX_BYTES", "2147483648"),
        ("RAS_INTERNAL_API_KEY", " a-key"),
        ("RAS_INTERNAL_API_KEY", "a-key\n"),
        ("RAS_INTERNAL_API_KEY", "a\tkey"),
    ],
)
def test_a_value_that_nothing_could_work_with_is_refused(refuse: Refuse, variable: str, value: str) -> None:
    assert refuse(**{variable: value}).startswith(f"{variable}: ")


def test_each_wrong_setting_is_named(refuse: Refuse) -> None:
    sentence = refuse(RAS_API_PORT="x", RAS_KAFKA_BOOTSTRAP_SERVERS=":", RAS_DATABASE_URL="x")

    assert all(
        f"{name}: " in sentence
        for name in ("RAS_API_PORT", "RAS_KAFKA_BOOTSTRAP_SERVERS", "RAS_DATABASE_URL")
    )


def test_an_empty_health_port_is_none(load: Callable[..., Settings]) -> None:
    assert load(RAS_HEALTH_PORT="").health_port is None


def test_a_file_of_settings_that_is_no_text_is_named(refuse: Refuse) -> None:
    Path(".env").write_bytes(b"RAS_HOME=\xff\xfe\n")

    assert refuse().startswith("The file .env cannot be read: ")


@pytest.mark.parametrize(
    ("command", "settings", "words"),
    [
        (
            "init",
            {"RAS_KAFKA_BOOTSTRAP_SERVERS": "::bad::"},
            "RAS_KAFKA_BOOTSTRAP_SERVERS: must be host:port",
        ),
        ("check", {"database_url": "postgresql://[bad"}, "RAS_DATABASE_URL: cannot be read"),
    ],
)
def test_commands_say_so_in_a_line(command: str, settings: dict[str, str], words: str) -> None:
    _refused(ras(command, **{"database_url": "", **settings}), words)


@pytest.mark.parametrize("home", ["/dev/null", "/dev/null/below", "/proc/nothing"])
def test_a_home_that_cannot_be_made_is_named(home: str) -> None:
    ended = ras("up", database_url="", RAS_HOME=home, RAS_API_PORT="0", RAS_ASSESSMENTS_PORT="0")

    _refused(ended, f"RAS_HOME: the folder {home}")


def test_an_option_is_held_to_what_a_setting_is() -> None:
    ended = ras("replay", "-", "--bootstrap-servers", "::bad::", database_url="")

    assert (ended.exit_code, ended.output) == (2, "")
    assert "--bootstrap-servers: must be host:port" in ended.errors


def _refused(ended: Ran, words: str) -> None:
    lines = [line for line in ended.errors.splitlines() if line != "Starting …"]
    assert (ended.exit_code, ended.output, len(lines)) == (2, "", 1), ended.errors
    assert lines[0].startswith(f"ras: {words}")
