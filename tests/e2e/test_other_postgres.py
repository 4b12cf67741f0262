"""PostgreSQL as other people run it: with TLS, with all connections taken, and with a standby that becomes the primary."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import psycopg
import pytest
import trustme

from infrastructure.demo.stream import stream
from infrastructure.postgres.schema import initialise
from tests.support.accounts import check_published_once, taken_in, wait_until_settled
from tests.support.own_postgres import OwnPostgres
from tests.support.postgres_probe import probe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_132, 4, class_sizes=(1, 3)))
_MORE: Final = list(stream(20_261_133, 4, class_sizes=(1, 3)))
_ROLES: Final = ("ingest", "publish", "project", "serve")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user can reach, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_connection_verifies_the_server_and_a_wrong_authority_and_name_are_reported(
    folder: Path, tmp_path: Path
) -> None:
    authority, other = trustme.CA(), trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.crt")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    other.cert_pem.write_to_path(folder / "other.pem")
    server = OwnPostgres(
        folder / "server", ssl="on", ssl_cert_file="server.crt", ssl_key_file="server.key"
    ).initialise()
    server.put(folder / "server.crt")
    server.put(folder / "server.key")
    server.start()
    try:
        with Installation(server.url, "127.0.0.1:1", tmp_path) as ras:
            verified = f"{server.url}?sslmode=verify-full&sslrootcert={folder}"
            initialise(f"{verified}/ca.pem")
            listed = ras.run("dead-letters", "list", database_url=f"{verified}/ca.pem")
            projector = ras.start("project", database_url=f"{verified}/ca.pem").wait_until_ready()
            with psycopg.connect(server.url, autocommit=True) as dba:
                encrypted = dba.execute("SELECT count(*) FROM pg_stat_ssl WHERE ssl").fetchone()
            projector.terminate()
            untrusted = ras.run("status", database_url=f"{verified}/other.pem")
            name = verified.replace("localhost", "127.0.0.1")
            misnamed = ras.run("status", database_url=f"{name}/ca.pem")
    finally:
        server.stop()

    assert listed.exit_code == 0, listed.output
    assert encrypted is not None
    assert encrypted[0] >= 4
    for ended in (untrusted, misnamed):
        assert ended.exit_code == 1
        assert "TLS with PostgreSQL failed" in ended.output
        assert "Traceback" not in ended.output


def test_each_role_says_that_all_connections_are_taken_and_goes_on_when_there_are_some(
    folder: Path, ras_topics: Topics, tmp_path: Path
) -> None:
    server = OwnPostgres(folder / "server", max_connections="60").initialise().start()
    taken: list[psycopg.Connection[object]] = []
    try:
        initialise(server.url)
        with psycopg.connect(server.url, autocommit=True) as dba:
            dba.execute("CREATE ROLE ras LOGIN")
            dba.execute("GRANT pg_read_all_data, pg_write_all_data TO ras")
        as_ras = server.url.replace("postgres@", "ras@")
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(psycopg.connect(as_ras))
        with Installation(as_ras, ras_topics.bootstrap_servers, tmp_path) as ras:
            roles = [ras.start(name) for name in (*_ROLES, "serve-assessments")]
            for role in roles:
                wanted = "failed" if role.name.startswith("serve") else "degraded"
                reason = role.wait_for_health(wanted, saying="no free connection", deadline_s=60)
                assert "does not answer" not in reason
            ended = ras.run("status")
            assert (ended.exit_code, "no free connection" in ended.output) == (1, True), ended.output

            while taken:
                taken.pop().close()
            for role in roles:
                role.wait_for_health("ok", deadline_s=60)
            assert all("Traceback" not in role.output for role in roles)
    finally:
        for connection in taken:
            connection.close()
        server.stop()


def test_roles_find_the_new_primary(folder: Path, ras_topics: Topics, tmp_path: Path) -> None:
    primary = OwnPostgres(folder / "primary").initialise().start()
    standby = OwnPostgres(folder / "standby")
    try:
        standby.copy_of(primary).start()
        url = (
            f"postgresql://postgres@/postgres?host=localhost,localhost&port={primary.port},{standby.port}"
            "&target_session_attrs=read-write"
        )
        initialise(url)
        with Installation(url, ras_topics.bootstrap_servers, tmp_path) as ras:
            roles = [ras.start(name).wait_until_ready() for name in _ROLES]
            ras_topics.send(_MESSAGES)
            with probe(url) as store:
                wait_until(lambda: taken_in(store) == len(_MESSAGES), what="all is in")
            primary.stop()
            for role in roles:
                role.wait_for_health("failed" if role.name == "serve" else "degraded", deadline_s=60)

            standby.promote()
            for role in roles:
                role.wait_for_health("ok", deadline_s=60)
            ras_topics.send(_MORE)
            with probe(url) as store:
                wait_until_settled(store, ras_topics, ras.transactional_id)
                check_published_once(store, ras_topics, ras.transactional_id)
    finally:
        standby.stop()
        primary.stop()
