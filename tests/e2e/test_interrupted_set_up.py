"""`make setup` after Ctrl-C: ten interruptions one after the other, each further on than the last, then a whole run.

An interrupted run leaves whatever it had written until then: half a pip, half of the packages. Each run starts on what
the run before has left and must come further, so all but the last prove that their predecessor did no harm.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.requirements import missing
from tests.support.waiting import wait_until

ROOT: Final = Path(__file__).parents[2]
FILES: Final = ("Makefile", "README.md", "pyproject.toml", "requirements.lock")
PACKAGES: Final = ("application", "domain", "infrastructure", "projections")
SITE: Final = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
MOMENTS: Final = (
    ".",
    "pyvenv.cfg",
    "bin/python",
    f"{SITE}/pip",
    f"{SITE}/pip/_vendor",
    f"{SITE}/pip/_vendor/rich",
    "bin/pip",
    "bin/uv",
    f"{SITE}/starlette",
    "bin/ras",
)
"""What is there in `.venv` when a run is interrupted."""

DEADLINE_S: Final = 240.0
INDEX: Final = "make, and a package index that pip can reach"


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout of its own without an environment; skipped where nothing can be installed."""
    require_an_index(tmp_path)
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    for name in PACKAGES:
        (folder / name).symlink_to(ROOT / name)
    yield folder
    shutil.rmtree(folder / ".venv", ignore_errors=True)


def require_an_index(folder: Path) -> None:
    """Skip the test where a small package cannot be downloaded into `folder`."""
    probe = ["pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--timeout", "15"]
    wanted = ["--dest", str(folder / "probe"), "hatchling==1.27.0"]
    ran = subprocess.run([sys.executable, "-m", *probe, *wanted], capture_output=True, timeout=DEADLINE_S)
    shutil.rmtree(folder / "probe", ignore_errors=True)
    if ran.returncode or shutil.which("make") is None:
        missing("packages", install=INDEX)


def begun(checkout: Path) -> subprocess.Popen[str]:
    """Begin `make setup` as in a terminal of its own."""
    python = Path(sys.base_prefix) / "bin" / Path(SITE).parent.name
    # Tests run below another `make`, which hands its options and job server down.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    return subprocess.Popen(
        ["make", "setup", f"PYTHON={python}"],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def interrupted(checkout: Path, moment: str) -> None:
    """Begin, and interrupt once `moment` is there."""
    there, settings = checkout / ".venv" / moment, checkout / ".venv" / "pyvenv.cfg"
    run, started_ns = begun(checkout), time.time_ns()

    def reached() -> bool:
        if run.poll() is not None:
            return True
        # What the run before has left is gone once this file is new.
        with contextlib.suppress(FileNotFoundError):
            return there.exists() and (moment == "." or settings.stat().st_ctime_ns > started_ns)
        return False

    try:
        wait_until(reached, what=f"set-up has come to {moment}", deadline_s=DEADLINE_S)
    finally:
        code = run.poll()
        if code is None:
            os.killpg(run.pid, signal.SIGINT)
        output, _ = run.communicate(timeout=DEADLINE_S)
    if code:
        require_an_index(checkout)
    assert not code, f"set-up failed before it came to {moment}:\n{output}"


@pytest.mark.timeout(1200)
def test_set_up_succeeds_after_each_of_ten_interruptions(checkout: Path) -> None:
    for moment in MOMENTS:
        interrupted(checkout, moment)

    run = begun(checkout)
    output, _ = run.communicate(timeout=2 * DEADLINE_S)
    if run.returncode:
        require_an_index(checkout)
    assert run.returncode == 0, output
    for command in (["ras", "--version"], ["python", "-m", "pip", "check"]):
        program = checkout / ".venv" / "bin" / command[0]
        ran = subprocess.run([program, *command[1:]], capture_output=True, text=True, timeout=DEADLINE_S)
        assert ran.returncode == 0, ran.stdout + ran.stderr
