"""Whole checks in the background: one at a time, each in a process, the last few remembered.

    running ──> finished     with a report, whether or not everything agrees
       ├──────> failed       with a sentence: there is no report
       └──────> cancelled    by an operator, or because this process ends

A run is known to the process that began it, and to no other. What it found it also keeps in
`ras.check_state`, as every check does.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final
from uuid import uuid4

import orjson
import structlog
from pydantic import Field
from typing_extensions import TypedDict

from application.responses.check import Check
from application.responses.kinds import Count
from infrastructure.settings import Servers, Settings

_log = structlog.get_logger(__name__)

_REMEMBERED: Final = 5
_LONGEST_LINE: Final = 64_000_000
"""Bytes of a report: a thousand findings, whose ids come from senders."""


class RunState(StrEnum):
    """What has become of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class _Progress(TypedDict):
    what: str
    done: Count
    total: Count


@dataclass(slots=True, kw_only=True)
class CheckRun:
    """A check of everything"""

    id: str
    started_at: datetime
    state: RunState = RunState.RUNNING
    ended_at: datetime | None = None
    progress: list[_Progress] = field(default_factory=list)
    report: Annotated[Check | None, Field(description="Once it is finished")] = None
    fault: Annotated[str | None, Field(description="Why it failed")] = None

    def note(self, what: str, done: int, total: int) -> None:
        """Note how much of one thing is looked at."""
        self.progress = [each for each in self.progress if each["what"] != what]
        self.progress.append({"what": what, "done": done, "total": total})


class RunUnderWayError(Exception):
    """A run is under way in this process already: look at that one, `run_id`."""

    def __init__(self, run_id: str) -> None:
        super().__init__("A check is under way already; look at that one, or cancel it.")
        self.run_id = run_id


class CheckRuns:
    """The runs of this process."""

    def __init__(self, servers: Servers, settings: Settings) -> None:
        self._order = {
            "database_url": servers.database_url,
            "bootstrap_servers": servers.bootstrap_servers,
            "transactional_id": settings.transactional_id,
            "log_level": settings.log_level,
            "log_format": settings.log_format,
        }
        self._runs: OrderedDict[str, CheckRun] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> CheckRun:
        """Begin to check everything. Raises RunUnderWayError while an earlier run goes on."""
        if self._task is not None and not self._task.done():
            raise RunUnderWayError(next(reversed(self._runs)))
        run = CheckRun(id=uuid4().hex, started_at=datetime.now(UTC))
        self._runs[run.id] = run
        while len(self._runs) > _REMEMBERED:
            self._runs.popitem(last=False)
        self._task = asyncio.create_task(self._followed(run), name=f"check {run.id}")
        return run

    def newest_first(self) -> list[CheckRun]:
        """Return the runs that this process remembers."""
        return list(reversed(self._runs.values()))

    def find(self, run_id: str) -> CheckRun | None:
        """Return a run, None if it is not (or no longer) known here."""
        return self._runs.get(run_id)

    async def cancel(self, run_id: str) -> None:
        """End a run if it still goes on. Returns when its process is gone."""
        if run_id in self._runs and run_id == next(reversed(self._runs)):
            await self.close()

    async def close(self) -> None:
        """End whatever goes on. Returns when its process is gone."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _followed(self, run: CheckRun) -> None:
        try:
            code = await self._conducted(run)
        except asyncio.CancelledError:
            run.state = RunState.CANCELLED
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the run shows it
            _log.exception("check.fault")
            run.state, run.fault = (
                RunState.FAILED,
                "Something went wrong here; the log of this process says what.",
            )
        else:
            if run.report is None and run.fault is None:
                run.fault = f"The process of the check ended with exit code {code}."
            run.state = RunState.FAILED if run.report is None else RunState.FINISHED
        finally:
            run.ended_at = datetime.now(UTC)

    async def _conducted(self, run: CheckRun) -> int:
        """Note in `run` what its process tells. Returns that one's exit code; cancelled, when it is gone."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infrastructure.check.worker"),
            stdin=PIPE,
            stdout=PIPE,
            limit=_LONGEST_LINE,
        )
        try:
            await self._listen(run, process)
            return await process.wait()
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()  # it keeps nothing that it would have to put away
                await process.wait()

    async def _listen(self, run: CheckRun, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(ConnectionError):  # it has ended already: its exit code will tell
            process.stdin.write(orjson.dumps(self._order) + b"\n")
            await process.stdin.drain()
        async for line in process.stdout:
            match orjson.loads(line):
                case {"progress": [what, done, total]}:
                    run.note(what, done, total)
                case {"report": report}:
                    run.report = report
                case {"fault": fault}:
                    run.fault = fault
