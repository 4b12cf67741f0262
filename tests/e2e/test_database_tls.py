"""A PostgreSQL that answers by TLS: RAS verifies it as `sslmode=verify-full` asks, and names what is not right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import trustme

from tests.support.own_postgres import OwnPostgres
from tests.support.role_process import Installation
from tests.support.topics import Topics

_ROLES: Final = ("ingest", "publish", "project", "serve", "serve-assessments")


class _Encrypted(NamedTuple):
    server: OwnPostgres
    authority: Path
    other_authority: Path


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Encrypted]:
    """A server whose certificate holds `localhost` and not 127.0.0.1."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other-ca.pem")
    with OwnPostgres(debian=True) as server:
        server.encrypt(issued)
        yield _Encrypted(server, folder / "ca.pem", folder / "other-ca.pem")


def test_every_role_and_command_verifies_the_server_and_works(
    encrypted: _Encrypted, ras_topics: Topics, tmp_path: Path
) -> None:
    url = encrypted.server.url("localhost", sslmode="verify-full", sslrootcert=encrypted.authority)
    with Installation(url, ras_topics.bootstrap_servers, tmp_path) as ras:
        for command in (("init",), ("status",), ("rebuild", "batch_results"), ("parked", "list")):
            done = ras.run(*command)
            assert done.exit_code == 0, done.output
        for name in _ROLES:
            assert ras.start(name).wait_until_ready().terminate() == 0


@pytest.mark.parametrize(
    ("host", "trusted", "named"),
    [
        ("localhost", "other_authority", "certificate verify failed"),
        ("127.0.0.1", "authority", 'does not match host name "127.0.0.1"'),
    ],
    ids=["wrong authority", "wrong host name"],
)
def test_a_certificate_that_does_not_fit_is_named(
    encrypted: _Encrypted, kafka_bootstrap: str, tmp_path: Path, host: str, trusted: str, named: str
) -> None:
    url = encrypted.server.url(host, sslmode="verify-full", sslrootcert=getattr(encrypted, trusted))
    with Installation(url, kafka_bootstrap, tmp_path) as ras:
        command = ras.run("init")

        assert command.exit_code == 1
        assert "TLS with PostgreSQL failed" in command.output
        assert named in command.output
        assert "sslrootcert" in command.output
        for name in _ROLES:
            role = ras.start(name)
            wanted = "failed" if name.startswith("serve") else "degraded"
            role.wait_for_health(wanted, saying="TLS with PostgreSQL failed", deadline_s=120)
            assert role.terminate() == 0
            assert "Traceback" not in role.output
