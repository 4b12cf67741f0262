"""One reader of the log for all live streams of a process, and the fan-out in memory.

Notifications and the states of batches are read by two tasks: reading states takes longer, and no notification waits
for them.

A stream that begins takes its place first and asks for what it missed then: what comes meanwhile waits in its queue,
so that nothing falls between. What a process has handed out lies at or before the read models' positions, so any
process can go on from any other's id.

The queue of a stream is bounded. A reader that does not keep up loses its stream, not its messages: it resumes. States
of batches do not queue: only the newest of each batch waits. Without streams nothing is read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

import psycopg
import structlog

from infrastructure.eventstore.log import LogListener
from infrastructure.live.feed import Feed, Resume
from infrastructure.live.messages import READY, RESYNC, Epoch, Message, StreamId, message
from infrastructure.live.resuming import Resumes

_log = structlog.get_logger(__name__)

_SOON_S: Final = 0.015
_LATEST_S: Final = 1.0
_SLOWER: Final = 1.5
_STATE_PACE_S: Final = 0.2
_LONGEST_QUEUE: Final = 500
_TURN: Final = 100
_MOST_STATES: Final = 1000
_NOT_KNOWN: Final = "The id is not of this stream as it is now."


class End(StrEnum):
    """Why the server ends a stream."""

    SLOW = "slow"
    STOPPING = "stopping"


class TooManyStreamsError(Exception):
    """The teacher has as many streams as the setting allows."""


class Stream:
    """The messages for one client. One task takes them."""

    def __init__(self, teacher: str, start: StreamId) -> None:
        self.teacher = teacher
        self.reached = start
        """Where the client is: what comes after it is delivered without being asked for."""
        self.end: End | None = None
        self._queue: deque[Message] = deque()
        self._states: dict[str, Message] = {}
        self._ready = asyncio.Event()
        self.overrun = asyncio.Event()
        """Set when the client is too slow, and its sender may wait for it for ever."""

    def put(self, each: Message) -> None:
        """Queue a message, unless the client has it."""
        if self.end is not None or (each.position and each.position <= self.reached.inbox):
            return
        if len(self._queue) >= _LONGEST_QUEUE:
            self.close(End.SLOW)
            return
        self._queue.append(each)
        self._ready.set()

    def put_state(self, batch_id: str, each: Message) -> None:
        """Replace what waits about a batch."""
        if self.end is not None:
            return
        if len(self._states) >= _MOST_STATES:
            self.close(End.SLOW)
            return
        self._states[batch_id] = each
        self._ready.set()

    def begin_after(self, place: StreamId) -> None:
        """Leave out what is queued, or comes, at or before a place in the inbox."""
        self.reached = max(self.reached, place, key=lambda each: each.inbox)
        self._queue = deque(
            each for each in self._queue if not each.position or each.position > self.reached.inbox
        )

    def begin_anew(self, resync: Message) -> None:
        """Go on in another history, in which places may be lower."""
        if self.end is None:
            self.reached = resync.id
            self._queue = deque([resync])
            self._states.clear()
            self._ready.set()

    def close(self, end: End) -> None:
        """End the stream after what is queued; one that is slow loses its queue."""
        self.end = self.end or end
        if end is End.SLOW:
            self._queue.clear()
            self._states.clear()
            self.overrun.set()
        self._ready.set()

    async def take(self, timeout_s: float) -> list[Message]:
        """Return what waits, as soon as something does; nothing after `timeout_s`."""
        await self.wait(timeout_s)
        return self.taken()

    async def wait(self, timeout_s: float) -> None:
        """Return when something waits, or after `timeout_s`.

        Once the stream has ended it returns at once, without a turn for other tasks: look at `end` after each call.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()

    def taken(self) -> list[Message]:
        """Return what waits, in the order of the ids: a client that is cut off anywhere goes on from the last it has."""
        states = (each.no_earlier_than(self.reached) for each in self._states.values())
        taken = sorted([*self._queue, *states], key=lambda each: (each.id.inbox, not each.position))
        self._queue.clear()
        self._states.clear()
        if taken:
            self.reached = taken[-1].id
        if self.end is None:
            self._ready.clear()
        return taken


class Hub:
    """All live streams of a process. Ends them when `stopping` is set."""

    def __init__(
        self, feed: Feed, listener: LogListener, stopping: asyncio.Event, *, streams_per_teacher: int
    ) -> None:
        self._feed = feed
        self._listener = listener
        self._stopping = stopping
        self._most = streams_per_teacher
        self._streams: dict[str, set[Stream]] = {}
        self._at: StreamId | None = None
        self._joined = asyncio.Event()
        self._starting = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._beginnings = 0
        self._resumes = Resumes(feed.missed)
        self._is_cut_off = False

    @property
    def is_cut_off(self) -> bool:
        """Whether the last attempt to read what is new has failed: streams are open, and nothing arrives."""
        return self._is_cut_off

    @property
    def streams(self) -> int:
        """How many streams there are."""
        return sum(map(len, self._streams.values()))

    async def current_id(self) -> str:
        """Return the id of now, for a page to go on from. Raises psycopg's errors."""
        return str((await self._feed.look()).here)

    async def open(self, teacher: str) -> Stream:
        """Begin a stream for a teacher, who has it until `leave`.

        Raises TooManyStreamsError, and psycopg's errors when the database is unavailable.
        """
        if len(self._streams.get(teacher, ())) >= self._most:
            raise TooManyStreamsError
        async with self._starting:
            if self._at is None or not self._streams:
                self._at = (await self._feed.look()).here
                self._beginnings += 1  # what is being read belongs to the streams before
            if not self._tasks:
                self._tasks += [
                    asyncio.create_task(self._listener.run(), name="live: listener"),
                    asyncio.create_task(self._follow(self._look, _SOON_S), name="live: reader"),
                    asyncio.create_task(
                        self._follow(self._look_at_states, _STATE_PACE_S), name="live: states"
                    ),
                    asyncio.create_task(self._leave_at_the_end(), name="live: end"),
                ]
            stream = Stream(teacher, self._at)
            self._streams.setdefault(teacher, set()).add(stream)
        if self._stopping.is_set():
            stream.close(End.STOPPING)
        self._joined.set()
        self._listener.wake()
        return stream

    async def resumed(self, stream: Stream, last_id: str) -> list[Message]:
        """Return what a client missed since `last_id` up to where its stream began: a resync where that is not known."""
        known = StreamId.parse(last_id)
        if known is None:
            return [_resync(stream, (await self._feed.look()).here, _NOT_KNOWN)]
        missed = await self._resumes.missed(Resume(stream.teacher, known, stream.reached))
        if not missed.is_known:
            return [_resync(stream, missed.here, _NOT_KNOWN)]
        if missed.notifications is None or missed.states is None:
            return [_resync(stream, missed.here, "More was missed than is kept ready.")]
        stream.begin_after(known)  # another process may have been further than this one
        here = stream.reached
        states = (each.no_earlier_than(here) for each in missed.states)
        return [*missed.notifications, *states, message(READY, here, {})]

    def leave(self, stream: Stream) -> None:
        """Forget a stream."""
        among = self._streams.get(stream.teacher, set())
        among.discard(stream)
        if not among:
            self._streams.pop(stream.teacher, None)

    async def close(self) -> None:
        """End everything. Returns when nothing runs any more."""
        self._stopping.set()
        self._end_all()
        self._listener.stop()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._resumes.close()
        await self._feed.close()

    async def _leave_at_the_end(self) -> None:
        await self._stopping.wait()
        self._end_all()

    def _end_all(self) -> None:
        for stream in [each for among in self._streams.values() for each in among]:
            stream.close(End.STOPPING)

    async def _follow(self, look: Callable[[], Awaitable[bool]], pace_s: float) -> None:
        """Look while there are streams: when the log grows, and seldom while it does not."""
        pause_s = pace_s
        while not self._stopping.is_set():
            await self._some_stream()
            growth = asyncio.ensure_future(self._listener.wait(pause_s))  # begun before the look
            moved = woken = False
            try:
                moved = await look()
                self._is_cut_off = False
                woken = await growth
            except psycopg.Error as error:
                self._is_cut_off = True
                _log.info("live.waiting", error=type(error).__name__)
                await asyncio.sleep(_LATEST_S)
            finally:
                growth.cancel()
            pause_s = pace_s if moved or woken else min(pause_s * _SLOWER, _LATEST_S)
            if woken:
                await asyncio.sleep(pace_s)  # rows come a moment after events

    async def _some_stream(self) -> None:
        if not self._streams:
            self._joined.clear()
            await self._joined.wait()

    async def _look(self) -> bool:
        """Hand out what is new in the inbox. Returns whether there is more."""
        at, beginnings = self._at, self._beginnings
        assert at is not None, "a stream began"
        look = await self._feed.look(at)
        if not look.continues(at):
            await self._begin_anew(look.here)
            return True
        if at.inbox >= look.here.inbox:
            return False
        found, reached = await self._feed.inbox_events(at, look.here)
        if self._beginnings != beginnings:
            return True  # of another history
        for number, (teacher, each) in enumerate(found, 1):
            for stream in list(self._streams.get(teacher, ())):
                stream.put(each)
            if number % _TURN == 0:
                # A stream that begins now begins behind these. Those who keep up take them: a burst makes no reader slow.
                self._advance(look.here.epoch, inbox=each.position)
                await asyncio.sleep(0)
        self._advance(look.here.epoch, inbox=reached)
        return reached < look.here.inbox

    async def _look_at_states(self) -> bool:
        """Hand out how batches that changed stand now. Returns whether there is more."""
        at, beginnings = self._at, self._beginnings
        assert at is not None, "a stream began"
        look = await self._feed.look(at)
        if at.batches >= look.here.batches or not look.continues(at):
            return False  # the other task begins anew
        states, reached = await self._feed.changed_batches(list(self._streams), at, look.here)
        if self._beginnings != beginnings:
            return True  # of another history
        for teacher, batch_id, each in states:
            for stream in list(self._streams.get(teacher, ())):
                stream.put_state(batch_id, each)
        self._advance(look.here.epoch, batches=reached)
        return reached < look.here.batches

    def _advance(self, epoch: Epoch, *, inbox: int = 0, batches: int = 0) -> None:
        """Move on in one of both; an id's epoch reaches as far as its places."""
        assert self._at is not None, "a stream began"
        self._at = StreamId(
            max(self._at.epoch, epoch, key=lambda each: each.proven),
            max(self._at.inbox, inbox),
            max(self._at.batches, batches),
        )

    async def _begin_anew(self, here: StreamId) -> None:
        _log.info("live.resync", streams=self.streams)
        self._at = here
        self._beginnings += 1
        detail = "The read models were rebuilt or restored. Load everything, then resume from this id."
        each = message(RESYNC, here, {"detail": detail})
        for stream in [one for among in self._streams.values() for one in among]:
            stream.begin_anew(each)


def _resync(stream: Stream, here: StreamId, detail: str) -> Message:
    stream.begin_after(here)
    return message(RESYNC, here, {"detail": f"{detail} Load everything, then resume from this id."})
