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
from pathlib import Path

_PRELOADED = (
    "pytest",  # a child imports its parent's main program anew
    "alembic.command",
    "infrastructure.cli.app",
    "infrastructure.cli.check",
    "infrastructure.cli.dead_letters",
    "infrastructure.cli.outbox",
    "infrastructure.cli.rebuild",
    "infrastructure.cli.replay",
    "infrastructure.cli.roles",
    "infrastructure.cli.status",
    "infrastructure.cli.tables_and_topics",
    # What a role imports only when it is put together.
    "infrastructure.followers.projector",
    "infrastructure.http.server",
    "infrastructure.kafka.consumer",
    "infrastructure.kafka.publisher",
    "infrastructure.postgres.schema",
    "infrastructure.query_api",
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
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*_PRELOADED, __name__])
        self._grace_s = grace_s
        self._process = context.Process(target=_become, args=(list(arguments), dict(environment), str(log)))
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


def _become(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Run in the forked process: become the command."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.update(environment)
    with Path(log).open("wb") as output:
        os.dup2(output.fileno(), sys.__stdout__.fileno())  # type: ignore[union-attr]
        os.dup2(output.fileno(), sys.__stderr__.fileno())  # type: ignore[union-attr]
    sys.argv = ["ras", *arguments]
    from infrastructure.cli.main import main

    main()
