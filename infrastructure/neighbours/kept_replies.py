"""Keeps replies with their ETags, so that an unchanged answer is not sent again.

Nothing is answered from here alone: the neighbour is asked each time, and only its 304 makes a kept reply good.
"""

from __future__ import annotations

from collections import OrderedDict

from infrastructure.neighbours.outcomes import Reply


class KeptReplies:
    """The replies used last, up to a sum of `most_bytes` of their content."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._replies: OrderedDict[str, Reply] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        """The sum of all contents."""
        return self._bytes

    def find(self, batch_id: str) -> Reply | None:
        """Return what is kept of a batch."""
        reply = self._replies.get(batch_id)
        if reply is not None:
            self._replies.move_to_end(batch_id)
        return reply

    def keep(self, batch_id: str, reply: Reply | None) -> None:
        """Keep `reply` in place of the older one; one without an ETag, or none, is of no use later."""
        older = self._replies.pop(batch_id, None)
        self._bytes -= len(older.content) if older else 0
        if reply is None or reply.etag is None:
            return
        self._replies[batch_id] = reply
        self._bytes += len(reply.content)
        while self._bytes > self._most_bytes:
            _, oldest = self._replies.popitem(last=False)
            self._bytes -= len(oldest.content)
