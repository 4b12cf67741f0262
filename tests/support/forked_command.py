"""The command `ras` in a process forked from one in which everything is imported already.

Importing takes a role two seconds and running a moment: tests that kill a process again and again would
only ever kill one that is starting. The process is a real one, with its own id, signals and exit code.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

_PRELOADED = (
    "pytest",  # a child imports its parent's main program again
    "alembic.command",
    "infrastructure.cli.app",
    "infrastructure.cli.check",
    "infrastructure.cli.dead_letters",
    "infrastructure.cli.history",
    "infrastructure.cli.outbox",
    "infrastructure.cli.parked",
    "infrastructure.cli.rebuild",
    "infrastructure.cli.replay",
    "infrastructure.cli.roles",
    "infrastructure.cli.status",
    "infrastructure.cli.init",
    # What a role imports only when it is put together.
    "infrastructure.followers.projector",
    "infrastructure.roles.http_server",
    "infrastructure.intake.ingester",
    "infrastructure.publishing.publisher",
    "infrastructure.postgres.schema",
    "infrastructure.roles.query_api",
    "sqlalchemy.ext.asyncio",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    "uvloop",
)
_PR_SET_PDEATHSIG = 1
_KILL_DEADLINE_S = 10.0


class ForkedCommand:
    """One `ras` command, ended by SIGKILL when the tests end, however they end."""

    def __init__(
        self, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path, grace_s: float
    ) -> None:
        self._grace_s = grace_s
        self._process = _context().Process(
            target=_become,
            args=(list(arguments), {**os.environ, **environment}, os.devnull, str(log), str(log)),
        )
        log.touch()
        self._process.start()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + n when signal n ended it, as a shell says it."""
        code = self._process.exitcode
        return 128 - code if code is not None and code < 0 else code

    def stop(self) -> None:
        """Ask it to end and wait until it has; killed after the grace period."""
        self._process.terminate()
        self._process.join(self._grace_s)
        if self._process.exitcode is None:
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.join(_KILL_DEADLINE_S)


def run_forked(
    arguments: Sequence[str], *, environment: Mapping[str, str], stdin: str, deadline_s: float
) -> tuple[int, str, str]:
    """Run a `ras` command that ends by itself in exactly `environment`; return its exit code, output and errors.

    Raises TimeoutError, after killing it, when it has not ended at the deadline.
    """
    with TemporaryDirectory() as folder:
        given, output, errors = (Path(folder, name) for name in ("stdin", "stdout", "stderr"))
        given.write_text(stdin, encoding="utf-8")
        process = _context().Process(
            target=_become, args=(list(arguments), dict(environment), str(given), str(output), str(errors))
        )
        process.start()
        process.join(deadline_s)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join(_KILL_DEADLINE_S)
            raise TimeoutError(f"`ras {' '.join(arguments)}` has not ended within {deadline_s:g} s")
        return code, output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8")


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOADED, __name__])
    return context


def _become(arguments: list[str], environment: dict[str, str], stdin: str, output: str, errors: str) -> None:
    """Run in the forked process: become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The server that forks lives as long as somebody holds this end of a pipe, and this process as long as the server.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(environment)
    with Path(stdin).open("rb") as given, Path(output).open("ab") as out, Path(errors).open("ab") as err:
        os.dup2(given.fileno(), 0)
        os.dup2(out.fileno(), sys.__stdout__.fileno())  # type: ignore[union-attr]
        os.dup2(err.fileno(), sys.__stderr__.fileno())  # type: ignore[union-attr]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - what multiprocessing put there is empty
    sys.argv = ["ras", *arguments]
    from infrastructure.cli.main import main

    main()
