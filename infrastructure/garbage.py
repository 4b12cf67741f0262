"""Garbage collection for a process that keeps much and makes much.

Python's collector walks all young objects every few hundred allocations and, now and then, everything
that lives. Ingester and followers hold hundreds of thousands of objects (open batches, a stretch of the
log) and make as many a second, nearly all freed by reference count: the walks cost a third of their time
(measured, `docs/performance.md`) and find nothing. So they collect by themselves, between transactions:
the young every so many messages, after which the survivors are frozen, that is, never walked again.
"""

from __future__ import annotations

import gc
from typing import Final

_MESSAGES_BETWEEN: Final = 20_000


class PacedCollector:
    """Collects when told how much work was done, instead of whenever something is allocated."""

    def __init__(self) -> None:
        self._messages = 0

    def start(self) -> None:
        """Take over from the automatic collector."""
        gc.disable()
        gc.collect()
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
