"""Waiting for what other processes do: by looking, with a deadline, and with a word on how far it came."""

from __future__ import annotations

import time
from collections.abc import Callable

_LOOK_INTERVAL_S = 0.005
_LONGEST_INTERVAL_S = 0.05


def wait_until(
    happened: Callable[[], bool],
    *,
    what: str,
    deadline_s: float = 30.0,
    state: Callable[[], object] = str,
    interval_s: float = _LOOK_INTERVAL_S,
) -> None:
    """Return when `happened` says so; it is asked every `interval_s`, and less often the longer it takes.

    Raises TimeoutError at the deadline, naming `what` was waited for and the `state` of things then.
    """
    started = time.monotonic()
    while not happened():
        waited = time.monotonic() - started
        if waited > deadline_s:
            raise TimeoutError(f"waited {deadline_s:g} s in vain until {what}; now: {state()}")
        # A look costs those a core that are waited for: most ask a server.
        time.sleep(max(interval_s, min(waited / 20, _LONGEST_INTERVAL_S)))
