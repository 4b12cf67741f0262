"""In which order test files run: those that take longest first, so that no worker is left with one at the end."""

from pathlib import Path

_FOLDERS = ("e2e", "integration", "properties", "projections")
"""Tests with the most waiting first; all others come after these."""

_SLOWEST: tuple[str, ...] = ()
"""The files that take longest, in this order."""


def longest_first(file: Path) -> tuple[int, int]:
    """Return the sort key of a test file. Files with the same key keep their order."""
    folder, name = file.parent.name, file.name
    return (
        _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS),
        _SLOWEST.index(name) if name in _SLOWEST else len(_SLOWEST),
    )
