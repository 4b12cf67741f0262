"""A folder in memory for the data of the servers that tests start, where the machine has memory to spare."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil

_IN_MEMORY: Final = Path("/dev/shm")
_NEEDED_BYTES: Final = 8 * 1024**3
"""More than the servers of four workers use together: each about half a gigabyte."""

SMALL_LOG: Final = {"max_wal_size": "256MB"}
"""The settings of a PostgreSQL in such a folder: it keeps up to 2 GB of its log otherwise."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Lend an empty folder, on disk where memory is short. It is removed at the end.

    Creating and dropping a database, or the topics of RAS, takes a quarter of the CPU time that it takes on ext4.
    """
    with TemporaryDirectory(prefix="ras-test-", dir=_IN_MEMORY if _has_room() else None) as folder:
        yield Path(folder)


def _has_room() -> bool:
    return (
        _IN_MEMORY.is_dir()
        and min(shutil.disk_usage(_IN_MEMORY).free, psutil.virtual_memory().available) > _NEEDED_BYTES
    )
