"""Reports of judging jobs for the pages: `ras judging-report` in a process of its own, the newest kept.

The statistics of a large job take seconds of a core and drawing takes 85 MB: a process of its own keeps both away from
the live streams. One report is made at a time; who asks for one that is being made waits for it.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from infrastructure.http.problems import Problem
from infrastructure.settings import Servers

_log = structlog.get_logger(__name__)

_KEPT: Final = 8
_LARGEST: Final = 8_000_000
_PATIENCE_S: Final = 120.0
_WORKS_AS_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,254}")
"""What cannot be taken for an option or a file; upstream's job ids are integers."""
_EXTRA_MISSING: Final = b"vl-convert"


class JobReports:
    """The reports of one process."""

    def __init__(self, servers: Servers) -> None:
        self._environment = {**os.environ, "RAS_DATABASE_URL": servers.database_url}
        self._environment.pop("RAS_DATABASE_DIRECT_URL", None)
        self._turn = asyncio.Lock()
        self._kept: OrderedDict[tuple[str, int, str, str], bytes] = OrderedDict()

    async def of(self, job_id: str, position: int, language: str, form: str) -> bytes:
        """Return the report of a job as it is at `position`; `form` is html or json.

        Raises Problem where there is none.
        """
        name = (job_id, position, language, form)
        async with self._turn:
            if name not in self._kept:
                self._kept[name] = await self._made(job_id, language, form)
            self._kept.move_to_end(name)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return self._kept[name]

    async def _made(self, job_id: str, language: str, form: str) -> bytes:
        if not _WORKS_AS_NAME.fullmatch(job_id):
            raise Problem(404, "There is no report of a job with such an id.")
        with TemporaryDirectory(prefix="ras-report-") as folder:
            file = Path(folder) / f"report.{form}"
            order = ["judging-report", job_id, "--output", str(file), "--language", language]
            fault = await self._ended(order, folder)
            if fault is not None and _EXTRA_MISSING in fault:
                fault = await self._ended([*order, "--no-figures"], folder)
            if fault is not None:
                _log.warning("pages.report", job_id=job_id, fault=fault.decode(errors="replace")[-500:])
                raise Problem(500, "The report could not be made. The log of this process says why.")
            if file.stat().st_size > _LARGEST:
                raise Problem(404, "The report is too large for a page. Run ras judging-report.")
            return await asyncio.to_thread(file.read_bytes)

    async def _ended(self, order: list[str], folder: str) -> bytes | None:
        """Run the command. Returns None, or what it wrote of its failure."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "infrastructure.cli", *order),
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
            cwd=folder,
            env=self._environment,
        )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                _, errors = await process.communicate()
        except TimeoutError:
            raise Problem(
                500, f"The report takes longer than {_PATIENCE_S:.0f} s. Run ras judging-report."
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return None if process.returncode == 0 else errors
