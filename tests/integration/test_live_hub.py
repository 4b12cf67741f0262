"""The fan-out of the live stream in this process: what a burst does, and what a reader that is too slow gets."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infrastructure.eventstore.log import LogListener
from infrastructure.http.identity import Identity, roles_in
from infrastructure.live.feed import Feed, Look
from infrastructure.live.hub import End, Hub, Stream
from infrastructure.live.messages import Epoch, Message, StreamId, message
from infrastructure.live.routes import _EventStream, _Socket

_BURST = 900
_DEADLINE_S = 30.0
IDENTITY = Identity("teacher-0007", roles_in([]), 2**33)


def _place(position: int) -> StreamId:
    return StreamId(Epoch(1, 1, 10_000, "0" * 12), position, 0)


def _message(position: int) -> Message:
    return message("batch_results_ready", _place(position), {"number": position}, position=position)


class _Burst:
    """A log to which many notifications of one teacher were appended at once."""

    async def look(self, _known: StreamId | None = None) -> Look:
        """Return that all of them are there."""
        return Look(_place(_BURST), is_same_log=True)

    async def inbox_events(self, _after: StreamId, _to: StreamId) -> tuple[list[tuple[str, Message]], int]:
        """Return them in one slice."""
        return [("teacher-0007", _message(number)) for number in range(1, _BURST + 1)], _BURST


async def test_a_burst_reaches_a_reader_that_keeps_up_whole_and_once() -> None:
    feed, listener = cast(Feed, _Burst()), cast(LogListener, None)
    hub = Hub(feed, listener, asyncio.Event(), streams_per_teacher=1)
    stream = Stream("teacher-0007", _place(0))
    hub._streams["teacher-0007"] = {stream}
    hub._at = _place(0)
    heard: list[int] = []

    async def read() -> None:
        while len(heard) < _BURST and stream.end is None:
            heard.extend(each.position for each in await stream.take(_DEADLINE_S))

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    await hub._look()
    async with asyncio.timeout(_DEADLINE_S):
        await reading

    assert stream.end is None
    assert heard == list(range(1, _BURST + 1))


def _overrun() -> Stream:
    stream = Stream("teacher-0007", _place(0))
    for number in range(1, 502):
        stream.put(_message(number))
    assert stream.end is End.SLOW
    return stream


async def test_events_of_a_stream_that_overran_end_and_let_others_run() -> None:
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        await asyncio.Event().wait()

    left: list[Stream] = []
    hub = cast(Hub, SimpleNamespace(leave=left.append))
    stream = _overrun()
    async with asyncio.timeout(_DEADLINE_S):
        await _EventStream(hub, stream, IDENTITY, [], 15.0)({}, receive, send)

    assert left == [stream]
    assert len(sent) <= 2
    assert not any(event.get("more_body") is False for event in sent)  # the server cuts the connection


@pytest.mark.parametrize("state", [End.SLOW, End.STOPPING])
async def test_a_socket_whose_stream_ended_is_closed_with_its_code(state: End) -> None:
    closed: list[int] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send_text(_text: str) -> None: ...

    async def close(code: int, _reason: str) -> None:
        closed.append(code)

    websocket = SimpleNamespace(
        query_params={}, receive=receive, send_text=send_text, close=close, client_state=None
    )
    stream = _overrun() if state is End.SLOW else Stream("teacher-0007", _place(0))
    stream.close(state)
    async with asyncio.timeout(_DEADLINE_S):
        await _Socket(cast(Hub, None), stream, cast(Any, websocket), IDENTITY).run()

    assert closed == [4008 if state is End.SLOW else 1012]
