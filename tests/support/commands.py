"""The command `ras` as a person or a script runs it: a process with arguments, output and an exit code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import orjson

from tests.support.forked_command import run_forked

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
    return Ran(*run_forked(arguments, environment=environment, stdin=stdin, deadline_s=_DEADLINE_S))
