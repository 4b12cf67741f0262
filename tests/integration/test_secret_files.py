"""Secrets that are files: RAS_X_FILE names one, and its content is RAS_X."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from infrastructure.kafka import clients
from infrastructure.postgres.schema import initialise
from infrastructure.secret_files import settings_with_files
from infrastructure.settings import Settings, SettingsError, load_settings, warnings
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import Installation

SECRET = "a-secret-of-32-bytes-or-more-in-a-file"
ADDRESS = "postgresql://ras:a-password@db.example/ras"

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load settings from the variables given and nothing else."""
    for name in os.environ:
        if name.startswith("RAS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def loaded(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return loaded


def written(folder: Path, content: str | bytes) -> str:
    """Return the path of a file with `content`."""
    file = folder / "secret"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(file)


def test_every_secret_may_be_a_file() -> None:
    assert set(settings_with_files(Settings.model_fields)) == {
        "assessments_api_key",
        "database_direct_url",
        "database_url",
        "database_write_url",
        "internal_api_key",
        "internal_api_key_secondary",
        "jwt_secret",
        "kafka_sasl_oauthbearer_client_secret",
        "kafka_sasl_password",
        "kafka_ssl_password",
        "session_keys",
    } | {name for name in Settings.model_fields if name.startswith("oidc_") and "secret" in name}


@pytest.mark.parametrize("name", sorted(settings_with_files(Settings.model_fields)))
def test_a_secret_is_the_content_of_its_file(load: Load, tmp_path: Path, name: str) -> None:
    wanted = ADDRESS if name.endswith("_url") else SECRET

    settings = load(**{f"RAS_{name.upper()}_FILE": written(tmp_path, f"{wanted}\n")})

    found = getattr(settings, name)
    [found] = found if isinstance(found, tuple) else [found]
    assert (found.get_secret_value() if isinstance(found, SecretStr) else found) == wanted
    assert not warnings()


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_break_at_the_end_does_not_count(load: Load, tmp_path: Path, end: str) -> None:
    settings = load(RAS_INTERNAL_API_KEY_FILE=written(tmp_path, SECRET + end))

    assert settings.internal_api_key == SecretStr(SECRET)


def test_keys_of_sessions_may_stand_one_to_a_line(load: Load, tmp_path: Path) -> None:
    settings = load(RAS_SESSION_KEYS_FILE=written(tmp_path, f"{SECRET}-1\n{SECRET}-2\n"))

    assert settings.session_keys == (SecretStr(f"{SECRET}-1"), SecretStr(f"{SECRET}-2"))


def test_the_file_may_be_named_in_the_dotenv_file_beside_a_blank_template(load: Load, tmp_path: Path) -> None:
    path = written(tmp_path, SECRET)
    (tmp_path / ".env").write_text(f"RAS_INTERNAL_API_KEY=\nRAS_INTERNAL_API_KEY_FILE={path}\n")

    assert load().internal_api_key == SecretStr(SECRET)
    assert load(RAS_INTERNAL_API_KEY_FILE="").internal_api_key is None  # a variable stands above the file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"x" * 1_100_000, "has more than 1,048,576 bytes"),
        (b"two\nlines", "RAS_INTERNAL_API_KEY: must not begin or end with a blank, nor hold a line break"),
    ],
)
def test_a_file_that_is_no_secret_is_refused(load: Load, tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        load(RAS_INTERNAL_API_KEY_FILE=written(tmp_path, content))

    assert "lines" not in str(refused.value)


@pytest.mark.parametrize("path", ["none", ".", "/dev/zero"])
def test_what_is_no_file_is_refused_at_once(load: Load, tmp_path: Path, path: str) -> None:
    with pytest.raises(SettingsError, match=r"^RAS_KAFKA_SASL_PASSWORD_FILE: .*cannot be read"):
        load(RAS_KAFKA_SASL_PASSWORD_FILE=path)


def test_a_secret_and_a_file_with_it_contradict_each_other(load: Load, tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="RAS_INTERNAL_API_KEY and RAS_INTERNAL_API_KEY_FILE are both set"
    ):
        load(RAS_INTERNAL_API_KEY="one", RAS_INTERNAL_API_KEY_FILE=written(tmp_path, SECRET))


def test_a_file_of_a_setting_that_is_no_secret_is_no_setting(load: Load, tmp_path: Path) -> None:
    load(RAS_API_PORT_FILE=written(tmp_path, "4003"))

    assert any(sentence.startswith("RAS_API_PORT_FILE is not a setting") for sentence in warnings())


def test_serve_reads_its_secrets_from_files_and_accepts_both_keys(
    postgres_server: PostgresServerUnderTest, tmp_path: Path
) -> None:
    def file(name: str, content: str) -> str:
        (tmp_path / name).write_text(f"{content}\n")
        return str(tmp_path / name)

    with (
        fresh_database(postgres_server.url) as url,
        Installation(url, "127.0.0.1:1", tmp_path) as ras,
    ):
        initialise(url)
        served = ras.start(
            "serve",
            database_url="",
            database_url_file=file("url", url),
            internal_api_key="",
            internal_api_key_file=file("key", "the-new-key"),
            internal_api_key_secondary_file=file("old", "the-old-key"),
        ).wait_until_ready()

        def asked(key: str) -> int:
            headers = {"X-Internal-API-Key": key, "X-Service-ID": "api-gateway-service"}
            address = f"{served.url}/internal/v1/batches/user/teacher-0007"
            return httpx.get(address, headers=headers, timeout=30).status_code

        assert [asked(key) for key in ("the-new-key", "the-old-key", "another", "")] == [200, 200, 401, 401]


def test_the_clients_of_kafka_read_their_secrets_from_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "password"
    secret.write_text("a-password\n")
    monkeypatch.setenv("RAS_KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("RAS_KAFKA_SASL_USERNAME", "ras-ingest")
    monkeypatch.setenv("RAS_KAFKA_SASL_PASSWORD_FILE", str(secret))

    given = clients._settings.__wrapped__().kafka_sasl_password

    assert given is not None
    assert given.get_secret_value() == "a-password"
