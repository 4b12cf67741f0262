"""The operating system's limit of open files (RLIMIT_NOFILE), of which each connection takes one."""

from __future__ import annotations

import resource
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_RESERVED: Final = 256
"""Open files besides connections of clients, with room to spare: RAS opens some dozens itself."""


def connections_that_fit(wanted: int) -> int:
    """Return how many of `wanted` connections this process can hold; warn when they are fewer.

    Raises the soft limit as far as the hard one allows. A process without a free descriptor can neither accept a
    connection nor open one to its database, so clients are refused before that.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    fit = max(1, soft - min(_RESERVED, soft // 2))
    _log.warning(
        "http.open_files",
        reason=f"The system lets this process open {soft:,} files, so it takes {fit:,} connections instead of the "
        f"{wanted:,} of RAS_HTTP_MAX_CONNECTIONS. Raise the limit (ulimit -Hn, LimitNOFILE=) to {needed:,}.",
    )
    return fit
