"""The port that a server had at its last start in a folder: addresses that were noted go on working."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infrastructure.local.processes import free_port, port_is_free

_LOWEST: Final = 1024
_HIGHEST: Final = 65535


def kept_port(file: Path) -> int:
    """Return the port that `file` holds if it is free on 127.0.0.1, else another one that is."""
    try:
        port = int(file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return free_port()
    return port if _LOWEST <= port <= _HIGHEST and port_is_free(port) else free_port()
