"""The machine's own PostgreSQL (Debian's packages), as other people run it: with TLS, and with a standby."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final, Self

import psycopg
import pytest

from infrastructure.local.processes import GuardedProcess, free_port
from infrastructure.local.unprivileged import command_prefix, server_user

_DEADLINE_S: Final = 60.0
_SETTINGS: Final = {"listen_addresses": "localhost", "unix_socket_directories": "", "fsync": "off"}


def newest_programs() -> Path:
    """Return the folder with the programs of the newest PostgreSQL that is installed; skips the test without one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda each: int(each.parts[4]))
    if not found:
        pytest.skip("PostgreSQL's server is not installed (Debian: apt-get install postgresql)")
    return found[-1].parent


class OwnPostgres:
    """A server with its data in `folder`, which the user that it runs as must be able to reach."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.folder = folder
        self._programs = newest_programs()
        self._user = server_user(folder / "none")
        self._settings = _SETTINGS | settings
        self._process: GuardedProcess | None = None
        folder.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(folder, self._user, -1)

    @property
    def url(self) -> str:
        """The URL for its superuser."""
        return f"postgresql://postgres@localhost:{self.port}/postgres"

    def initialise(self) -> Self:
        """Create an empty cluster that asks for no passwords."""
        self._run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
        return self

    def copy_of(self, primary: OwnPostgres) -> Self:
        """Become a standby of `primary`."""
        self._run("pg_basebackup", f"--dbname={primary.url}", "--write-recovery-conf", "--no-sync")
        return self

    def put(self, file: Path) -> None:
        """Copy a file into the data, for its server alone."""
        there = self.folder / "data" / file.name
        shutil.copyfile(file, there)
        there.chmod(0o600)
        if self._user is not None:
            os.chown(there, self._user, -1)

    def start(self) -> Self:
        """Start, and return when it answers."""
        settings = [
            f"--{name}={value}" for name, value in (self._settings | {"port": str(self.port)}).items()
        ]
        self._process = GuardedProcess(
            [
                *command_prefix(self._user),
                str(self._programs / "postgres"),
                "-D",
                str(self.folder / "data"),
                *settings,
            ],
            log=self.folder.with_suffix(".log"),
            stop_signal=signal.SIGINT,
            grace_s=30.0,
        )
        self._process.wait_until(self._answers, deadline_s=_DEADLINE_S, name="PostgreSQL")
        return self

    def stop(self) -> None:
        """End it; what a standby lacks is sent to it before."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def promote(self) -> None:
        """Let a standby become the primary."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self.url}?sslmode=disable&connect_timeout=2").close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run([*command_prefix(self._user), *command], check=True, capture_output=True, cwd="/")
