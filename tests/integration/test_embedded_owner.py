"""The embedded PostgreSQL belongs to a user who is not a superuser, also where an early release has set it up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from application import topics
from infrastructure.local.embedded_postgres import EmbeddedPostgres, _programs
from infrastructure.postgres.schema import initialise
from tests.support.ingesting import Ingestion, dead_letter
from tests.support.postgres_probe import opened_store

_NOT_OWNED = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname LIKE 'ras%' AND pg_get_userbyid(c.relowner) <> 'ras'
"""


def test_the_owner_has_nothing_of_the_server(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server, psycopg.connect(server.url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT rolname, rolsuper, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        assert row == ("ras", False, False, False, False)
        for forbidden in (
            "SELECT pg_read_file('PG_VERSION')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
            "ALTER SYSTEM SET fsync = off",
            "CREATE DATABASE another",
            "CREATE ROLE another SUPERUSER",
            "GRANT pg_read_server_files TO ras",
            "SET ROLE postgres",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden)
        assert server.superuser_url.split("@")[0].split(":")[2] not in server.url
        for secret in ("password", "owner-password"):
            assert (tmp_path / secret).stat().st_mode & 0o777 == 0o600


def test_a_folder_of_an_early_release_is_handed_over_and_works(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            # As early releases left it: no such user, everything the superuser's.
            connection.execute("DROP DATABASE ras")
            connection.execute("DROP ROLE ras")
            connection.execute("CREATE DATABASE ras")
        early = server.superuser_url.removesuffix("/postgres") + "/ras"
        initialise(early)
        with opened_store(early) as store:
            Ingestion(store).insist([dead_letter(topics.SPELLCHECK_RESULTS)])
        with psycopg.connect(early, autocommit=True) as connection:
            connection.execute("CREATE TABLE public.of_somebody AS SELECT 1 AS one")
    (tmp_path / "owner-password").unlink()

    for _start in range(2):
        with EmbeddedPostgres(tmp_path) as server:
            assert server.url.startswith("postgresql://ras:")
            with psycopg.connect(server.url, autocommit=True) as connection:
                assert connection.execute(_NOT_OWNED).fetchall() == []
            assert initialise(server.url) == {}
            with opened_store(server.url) as store:
                Ingestion(store).insist([dead_letter(topics.ASSESSMENT_RESULT)])
            with psycopg.connect(
                early, autocommit=True
            ) as connection:  # an address that was noted still works
                assert connection.execute("SELECT one FROM public.of_somebody").fetchone() == (1,)


def test_the_script_for_an_empty_volume_creates_an_owner_and_closes_the_superuser(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "deploy" / "postgres" / "owner.sh"
    with EmbeddedPostgres(tmp_path, database="another") as server:
        superuser = conninfo_to_dict(server.superuser_url)
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            connection.execute("DROP DATABASE another")
            connection.execute("DROP ROLE ras")
        password = 'it\'s a "test" $HOME'
        subprocess.run(
            ["sh", script],
            env={
                "PATH": f"{_programs() / 'bin'}:{os.environ['PATH']}",
                "PGHOST": str(superuser["host"]),
                "PGPORT": str(superuser["port"]),
                "PGPASSWORD": str(superuser["password"]),
                "POSTGRES_PASSWORD": password,
            },
            check=True,
        )
        owner = make_conninfo("", **{**superuser, "user": "ras", "dbname": "ras", "password": password})
        initialise(owner)
        with psycopg.connect(owner) as connection:
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'ras'").fetchone() == (
                False,
            )
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.superuser_url)
