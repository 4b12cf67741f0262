"""The example consumer as a process, started the way that docs/consumers.md shows."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from infrastructure.local.processes import GuardedProcess
from tests.support.role_process import API_KEY
from tests.support.waiting import wait_until

SERVICE_ID: Final = "ai-feedback-service"
_PROGRAM: Final = Path(__file__).parents[2] / "examples" / "ai_feedback_consumer.py"
_DEADLINE_S: Final = 60.0


class ExampleProcess:
    """One run of the example. Its output goes to a file, both streams as they come."""

    def __init__(self, folder: Path, name: str, *, key: str = API_KEY, **options: str) -> None:
        self._log = folder / f"{name}.log"
        self._state = folder / "state.sqlite"
        given = {"state": str(self._state), **options}
        arguments = [part for option, value in given.items() for part in (f"--{option}", value)]
        self._process = GuardedProcess(
            [sys.executable, str(_PROGRAM), *arguments],
            log=self._log,
            stop_signal=signal.SIGTERM,
            grace_s=20,
            environment={"RAS_INTERNAL_API_KEY": key},
        )

    @property
    def lines(self) -> list[str]:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8").splitlines()

    @property
    def batches(self) -> list[str]:
        """The batch of each line that says that results are ready."""
        return [line.split(" ")[0] for line in self.lines if " revision " in line and not _is_repeat(line)]

    @property
    def repeats(self) -> int:
        """How many repeats it has dropped."""
        return sum(map(_is_repeat, self.lines))

    def wait_for_batches(self, *batch_ids: str) -> None:
        """Wait until there is a line of each."""
        self._wait(lambda: set(batch_ids) <= set(self.batches), f"lines for {batch_ids}")

    def wait_for_notes(self, count: int) -> None:
        """Wait until the work of so many events is noted; until then a kill may have it done again."""

        def noted() -> bool:
            with closing(sqlite3.connect(f"file:{self._state}?mode=ro", uri=True)) as state:
                return bool(state.execute("SELECT count(*) >= ? FROM handled", (count,)).fetchone()[0])

        self._wait(noted, f"{count} events are noted as done")

    def wait_for_repeats(self, count: int) -> None:
        """Wait until so many repeats are dropped."""
        self._wait(lambda: self.repeats >= count, f"{count} repeats are dropped")

    def wait_for_line(self, part: str) -> None:
        """Wait until a line has this in it."""
        self._wait(lambda: any(part in line for line in self.lines), f"a line with {part!r}")

    def wait_for_end(self) -> int:
        """Return the exit code once it has ended by itself."""
        self._wait(lambda: self._process.exit_code is not None, "it ends")
        assert self._process.exit_code is not None
        return self._process.exit_code

    def stop(self) -> int:
        """End it by SIGTERM and return its exit code."""
        self._process.stop()
        assert self._process.exit_code is not None
        return self._process.exit_code

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        wait_until(happened, what=what, deadline_s=_DEADLINE_S, state=lambda: self.lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.exit_code is None:
            self._process.kill()
        self._process.stop()


def _is_repeat(line: str) -> bool:
    return line.startswith("dropped a repeat")
