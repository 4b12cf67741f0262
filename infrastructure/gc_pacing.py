"""Garbage collection for a process that keeps many objects and creates many.

Python's collector walks all young objects every few hundred allocations and, now and then, everything
that lives. Ingester and followers hold hundreds of thousands of objects (open batches, a stretch of the
log) and make as many a second, nearly all freed by reference count: the walks cost a third of their time
(measured, `docs/performance.md`) and find nothing. So they collect by themselves, between transactions:
the young every so many messages, after which the survivors are frozen, that is, never walked again.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_MESSAGES_BETWEEN: Final = 20_000
_NEW_OBJECTS_BETWEEN: Final = 10_000
"""So many more objects of a server, which its young ones are walked for: about 1 ms."""

_lock = threading.Lock()
_uncollected = 0
_was_enabled = False


class GcPacer:
    """Collects when told how much work was done, instead of whenever something is allocated."""

    def __init__(self) -> None:
        self._messages = 0

    def start(self) -> None:
        """Take over from the automatic collector.

        The young alone are collected: all that imports have left takes 75 ms to walk, and nothing of it is garbage.
        """
        gc.disable()
        gc.collect(0)
        gc.freeze()

    def after(self, messages: int) -> None:
        """Note that `messages` were handled; collect the young when it is time."""
        self._messages += messages
        if self._messages >= _MESSAGES_BETWEEN:
            self._messages = 0
            gc.collect(0)
            gc.freeze()

    def stop(self) -> None:
        """Hand back to the automatic collector."""
        gc.unfreeze()
        gc.enable()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Leave the automatic collector off while a block of bounded work makes much and keeps it, as a fold does.

    The collector is the process's: blocks on several threads may overlap, and the last to end hands back to it.
    """
    global _uncollected, _was_enabled
    with _lock:
        if not _uncollected:
            _was_enabled = gc.isenabled()
            gc.disable()
        _uncollected += 1
    try:
        yield
    finally:
        with _lock:
            _uncollected -= 1
            if not _uncollected and _was_enabled:
                gc.enable()


@contextmanager
def gc_for_connections() -> Iterator[None]:
    """Walk everything that lives seldom, as a server of thousands of connections needs it.

    Each open live stream holds 170 objects. With the collector's defaults, the heartbeats of 5,000 streams were enough
    to walk all of them every few seconds, and all clients waited 0.5 s each time. Here it happens after a million new
    objects, so that what is garbage (a WebSocket leaves 30 objects) stays bounded. What imports have left is never walked.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS_BETWEEN, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
