"""Each service has keys of its own: what each may do, and files that make no sense."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from infrastructure.http.service_keys import read_service_keys
from infrastructure.settings import SettingsError
from tests.support.http import API_KEY, GATEWAY, OPERATORS, Api, api
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain

READS = "/internal/v1/batches/user/teacher-0007"
ACTS = "/internal/v1/teachers/teacher-0007/notifications/n1/read"
OPERATES = "/internal/v1/ops/dead-letters"


def hashed(key: str) -> str:
    """Return what the file holds of a key."""
    return f"sha256:{sha256(key.encode()).hexdigest()}"


FILE = f"""
[reader]
keys = ["{hashed("reads")}", "{hashed("reads-next")}"]
scopes = ["read"]

[bff-teacher-service]
keys = ["{hashed("acts")}"]
scopes = ["read", "act-for-teachers"]

[operator]
keys = ["{hashed("operates")}"]
scopes = ["operate"]
"""


@pytest.fixture(scope="module")
def client(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """The API on an empty database, with keys of services."""
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    file.write_text(FILE)
    with fresh_database(postgres_server.url) as url:
        Chain(url)
        with api(url, service_keys_file=file) as answering:
            yield answering


@pytest.mark.parametrize(
    ("service", "key", "reads", "acts", "operates"),
    [
        ("reader", "reads", 200, 403, 403),
        ("reader", "reads-next", 200, 403, 403),
        ("bff-teacher-service", "acts", 200, 404, 403),
        ("operator", "operates", 403, 403, 200),
        (GATEWAY, API_KEY, 200, 403, 403),
        (OPERATORS, API_KEY, 200, 403, 403),
        ("operator", API_KEY, 403, 403, 403),
        ("operator", "reads", 401, 401, 401),
        ("reader", "operates", 401, 401, 401),
        ("reader", hashed("reads"), 401, 401, 401),
        ("READER", "reads", 401, 401, 401),
        ("nobody", "reads", 401, 401, 401),
    ],
)
def test_a_service_may_do_what_its_key_is_for(
    client: Api, service: str, key: str, reads: int, acts: int, operates: int
) -> None:
    headers = {"X-Internal-API-Key": key, "X-Service-ID": service}
    found = [
        client.send(method, path, headers).status_code
        for method, path in (("GET", READS), ("POST", ACTS), ("GET", OPERATES))
    ]

    assert found == [reads, acts, operates]


def test_a_refusal_names_the_scope_and_the_setting(client: Api) -> None:
    headers = {"X-Internal-API-Key": "reads", "X-Service-ID": "reader"}
    detail = client.send("GET", OPERATES, headers).json()["detail"]

    assert "operate" in detail
    assert "RAS_SERVICE_KEYS_FILE" in detail


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "a = 1",
        "[a]",
        '[a]\nkeys = []\nscopes = ["read"]',
        '[a]\nkeys = ["a-key-in-clear-text"]\nscopes = ["read"]',
        f'[a]\nkeys = ["{hashed("k")}"]\nscopes = []',
        f'[a]\nkeys = ["{hashed("k")}"]\nscopes = ["write"]',
        f'[a]\nkeys = ["{hashed("k")}", "{hashed("l")}", "{hashed("m")}"]\nscopes = ["read"]',
        f'[a]\nkeys = ["{hashed("k")}"]\nscopes = ["read"]\nscope = "operate"',
    ],
)
def test_a_file_that_makes_no_sense_is_refused_and_shows_no_key(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(content)

    with pytest.raises(SettingsError, match="RAS_SERVICE_KEYS_FILE") as refused:
        read_service_keys(file)

    assert "clear-text" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_service_keys(tmp_path / "none.toml")
