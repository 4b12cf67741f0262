"""A PostgreSQL server of a test's own, with settings of its own: TLS, few connections, or the standby of another one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
import pytest
import trustme
from psycopg import sql

from infrastructure.local.embedded_postgres import _programs
from infrastructure.local.processes import GuardedProcess, free_port
from infrastructure.local.unprivileged import command_prefix, reachable_programs, server_user
from tests.support.waiting import wait_until

_START_DEADLINE_S: Final = 90.0
_SMALL: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "jit": "off",
    "timezone": "UTC",
}


class OwnPostgres:
    """A server with a database `ras` in which everybody on this machine is a superuser. It ends with the block.

    `standby_of` is a running server: this one begins as its copy and follows it. With `debian` it is the server of the
    newest Debian package that is installed, which speaks TLS; the test is skipped where there is none.
    """

    def __init__(
        self, *, standby_of: OwnPostgres | None = None, debian: bool = False, **settings: str
    ) -> None:
        self.port = free_port()
        self._programs = _of_debian() if debian else None
        self._settings = settings
        self._primary = standby_of
        self._process: GuardedProcess | None = None

    def url(self, host: str = "127.0.0.1", **parameters: object) -> str:
        """Return the libpq URL of the database for the superuser."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@{host}:{self.port}/ras{f'?{query}' if query else ''}"

    def encrypt(self, issued: trustme.LeafCert) -> None:
        """Let the server answer by TLS with this certificate."""
        parts = {"server.key": [issued.private_key_pem], "server.crt": issued.cert_chain_pems}
        for name, pems in parts.items():
            file = self._data / name
            file.write_bytes(b"".join(pem.bytes() for pem in pems))
            file.chmod(0o600)
            if self._user is not None:
                os.chown(file, self._user, -1)
        self.configure(ssl="on")
        wait_until(self._answers_by_tls, what="the server answers by TLS")

    def _answers_by_tls(self) -> bool:
        try:
            psycopg.connect(self.url(sslmode="require")).close()
        except psycopg.OperationalError:
            return False
        return True

    def configure(self, **settings: str) -> None:
        """Change settings of the running server that need no restart."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            for name, value in settings.items():
                change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                connection.execute(change)
            connection.execute("SELECT pg_reload_conf()")

    def kill(self) -> None:
        """End the server as a crash would."""
        assert self._process is not None
        self._process.kill()

    def promote(self) -> None:
        """Make a standby the primary."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_promote(wait => true, wait_seconds => 60)")

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="ras-test-postgres-"))
        self._data = self._folder / "data"
        self._user = server_user(self._data)
        self._installed, self._copy = self._programs or _programs(), None
        if self._user is not None:
            os.chown(self._folder, self._user, -1)
            if self._programs is None:
                self._installed, self._copy = reachable_programs(self._installed, self._user)
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def _start(self) -> None:
        if self._primary is None:
            self._run(
                "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
            )
        else:
            server = f"host=127.0.0.1 port={self._primary.port} user=postgres application_name=standby"
            self._run(
                "pg_basebackup",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
                f"--dbname={server}",
            )
        settings = {**_SMALL, "port": str(self.port), **self._settings}
        self._process = GuardedProcess(
            [
                *command_prefix(self._user),
                *(str(self._installed / "bin" / "postgres"), "-D", str(self._data)),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            log=self._folder / "postgres.log",
            stop_signal=signal.SIGINT,
            grace_s=30.0,
        )
        self._process.wait_until(self._answers, deadline_s=_START_DEADLINE_S, name="PostgreSQL")
        if self._primary is None:
            with psycopg.connect(self.url().replace("/ras", "/postgres"), autocommit=True) as connection:
                connection.execute("CREATE DATABASE ras")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._installed / "bin" / program), f"--pgdata={self._data}", *arguments]
        subprocess.run(
            [*command_prefix(self._user), *command],
            check=True,
            capture_output=True,
            timeout=_START_DEADLINE_S,
        )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url().replace("/ras", "/postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.stop()
        for folder in filter(None, (self._folder, self._copy)):
            shutil.rmtree(folder, ignore_errors=True)


def _of_debian() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("[0-9]*"), key=lambda folder: int(folder.name))
    if not installed:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    return installed[-1]
