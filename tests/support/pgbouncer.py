"""PgBouncer in front of the test's PostgreSQL, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import psycopg
import pytest

from infrastructure.local.processes import free_port
from infrastructure.local.unprivileged import command_prefix, server_user
from tests.support.waiting import wait_until


@contextmanager
def pgbouncer(database_url: str, mode: str, folder: Path) -> Iterator[str]:
    """The URL of the same database through a pooler in `mode` (session, transaction, statement)."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
    parts, port = urlsplit(database_url), free_port()
    folder.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as readable
    ):  # by the user it runs as, whom pytest's own folders keep out
        Path(readable).chmod(0o755)
        yield from _running(program, parts, port, mode, Path(readable), folder)


def _running(
    program: str, parts: SplitResult, port: int, mode: str, readable: Path, folder: Path
) -> Iterator[str]:
    users = readable / "users.txt"
    users.write_text(f'"{parts.username}" "{parts.password or ""}"\n')
    settings = readable / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={parts.hostname} port={parts.port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = 60\n"
        "max_client_conn = 200\n"
    )
    # It refuses to run as root, as PostgreSQL does.
    command = [*command_prefix(server_user(folder / "none")), program, str(settings)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()
    try:
        wait_until(lambda: _answers(url), what="the pooler answers", state=(folder / "log").read_text)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
