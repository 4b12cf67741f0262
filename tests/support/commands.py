"""The command `ras` as a person or a script runs it: a process with arguments, output and an exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import orjson

_DEADLINE_S = 120


@dataclass(frozen=True)
class Ran:
    """What came out."""

    exit_code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        """The one JSON value that was printed."""
        assert self.exit_code == 0, self.errors
        return orjson.loads(self.output)


def ras(*arguments: str, database_url: str, stdin: str = "", **settings: str) -> Ran:
    """Run a command on a database; `settings` are named as the variables are."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAS_")}
    environment |= {"RAS_DATABASE_URL": database_url, **settings}
    done = subprocess.run(
        [sys.executable, "-m", "infrastructure.cli", *arguments],
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
