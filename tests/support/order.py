"""In which order test files run: those that take longest first, so that no worker is left with one at the end."""

from pathlib import Path

_FOLDERS = ("e2e", "browser", "integration", "properties", "projections")
"""Tests with the most waiting first; all others come after these."""

_SLOWEST = (
    "test_embedded.py",
    "test_demo.py",
    "test_restore.py",
    "test_rebuild.py",
    "test_database_refuses.py",
    "test_poolers.py",
    "test_pages.py",
    "test_small_out_topic.py",
    "test_interrupted_set_up.py",
    "test_ingester_crashes.py",
    "test_unreadable_batches.py",
    "test_another_log.py",
)
"""The files that take longest, in this order."""


def longest_first(file: Path) -> tuple[int, int]:
    """Return the sort key of a test file. Files with the same key keep their order."""
    folder, name = file.parent.name, file.name
    return (
        _SLOWEST.index(name) if name in _SLOWEST else len(_SLOWEST),
        _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS),
    )
