"""What the embedded PostgreSQL may do that root has started: nothing that its own user may not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infrastructure.local import embedded_postgres
from infrastructure.local.embedded_postgres import EmbeddedPostgres

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a server as another user")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that only root may enter, with a file in it that all may read."""
    folder = tmp_path_factory.mktemp("closed")
    folder.chmod(0o700)
    (folder / "secret").write_text("of root")
    return folder


@pytest.fixture(scope="module")
def url(closed: Path) -> Iterator[str]:
    with EmbeddedPostgres(closed / "postgres") as server:
        yield server.superuser_url


def test_the_superuser_of_the_database_cannot_read_roots_files(url: str, closed: Path) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for file in (
            "/etc/shadow",
            "/proc/1/environ",
            str(closed / "secret"),
            str(closed / "postgres/password"),
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="Permission denied"):
                connection.execute("SELECT pg_read_file(%s)", [file])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT pg_ls_dir(%s)", [str(closed)])


def test_programs_that_the_server_starts_have_no_capability(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE told (line text)")
        connection.execute(
            r"COPY told FROM PROGRAM $$grep -E '^Cap|^NoNewPrivs' /proc/self/status | tr '\t' ' '$$"
        )
        lines = [line for (line,) in connection.execute("SELECT line FROM told")]

    assert {line.split()[0]: int(line.split()[1], 16) for line in lines} == {
        **dict.fromkeys(("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"), 0),
        "NoNewPrivs:": 1,
    }


def test_rows_survive_a_restart_in_a_folder_that_the_server_cannot_reach(closed: Path) -> None:
    with EmbeddedPostgres(closed / "again") as server, psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(closed / "again") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.parametrize("end", [EmbeddedPostgres.stop, EmbeddedPostgres.kill])
def test_programs_that_the_server_cannot_reach_are_copied_for_as_long_as_it_runs(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Callable[[EmbeddedPostgres], None]
) -> None:
    installed = embedded_postgres._programs()
    hidden = closed / installed.name
    if not hidden.exists():
        hidden.symlink_to(installed)
    monkeypatch.setattr(embedded_postgres, "_programs", lambda: hidden)
    server = EmbeddedPostgres(tmp_path / "copied")
    server.start()
    copy = server._copy
    assert copy is not None
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT to_tsvector('english', 'running')").fetchone() == ("'run':1",)

    end(server)

    assert not copy.exists()
