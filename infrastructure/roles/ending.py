"""Ends a role by force if it has not ended within its grace period."""

from __future__ import annotations

import os
import threading
from typing import Final

import structlog

_log = structlog.get_logger(__name__)

_FORCED_EXIT_CODE: Final = 1


def end_within(seconds: float) -> None:
    """End the process in `seconds` unless it has ended by then.

    A thread in a call that does not return (a socket that is frozen) keeps the interpreter from ending, and a
    stalled event loop handles no second signal. Nothing is lost: a transaction that was not committed is void,
    and its messages or events are read again from the stored position.
    """
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    timer.start()


def _end(seconds: float) -> None:
    _log.error(
        "role.ended_by_force",
        reason=f"The role did not end within {seconds:g} s of being asked: a server does not answer. Nothing is lost.",
    )
    os._exit(_FORCED_EXIT_CODE)
