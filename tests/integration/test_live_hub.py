"""The fan-out of the live stream in this process: what a burst does, and what a reader that is too slow gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infrastructure.eventstore.log import LogListener
from infrastructure.http.identity import Identity, roles_in
from infrastructure.live.feed import Feed, Look, Missed, Resume
from infrastructure.live.hub import End, Hub, Stream
from infrastructure.live.messages import READY, RESYNC, Epoch, Message, StreamId, message
from infrastructure.live.resuming import Resumes
from infrastructure.live.routes import _EventStream, _Socket

_BURST = 900
_DEADLINE_S = 30.0
IDENTITY = Identity("teacher-0007", roles_in([]), 2**33)


def _place(position: int) -> StreamId:
    return StreamId(Epoch(1, 1, 10_000, "0" * 12), position, 0)


def _message(position: int) -> Message:
    return message("batch_results_ready", _place(position), {"number": position}, position=position)


def _state(batch_id: str, seen: int) -> Message:
    return message("batch_status_updated", _place(seen), {"batch_id": batch_id})


class _Burst:
    """A log to which many notifications of one teacher were appended at once."""

    async def look(self, _known: StreamId | None = None) -> Look:
        """Return that all of them are there."""
        return Look(_place(_BURST), is_same_log=True)

    async def missed(self, _resumes: Sequence[Resume]) -> list[Missed]:
        """Return nothing: nobody comes back."""
        return []

    async def inbox_events(self, _after: StreamId, _to: StreamId) -> tuple[list[tuple[str, Message]], int]:
        """Return them in one slice."""
        return [("teacher-0007", _message(number)) for number in range(1, _BURST + 1)], _BURST


def _before_the_burst() -> tuple[Hub, Stream]:
    hub = Hub(cast(Feed, _Burst()), cast(LogListener, None), asyncio.Event(), streams_per_teacher=2)
    stream = Stream("teacher-0007", _place(0))
    hub._streams["teacher-0007"] = {stream}
    hub._at = _place(0)
    return hub, stream


async def test_a_burst_reaches_a_reader_that_keeps_up_whole_and_once() -> None:
    hub, stream = _before_the_burst()
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


async def test_a_stream_that_begins_in_the_middle_of_a_burst_gets_all_after_its_beginning() -> None:
    hub, first = _before_the_burst()
    looking = asyncio.create_task(hub._look())
    async with asyncio.timeout(_DEADLINE_S):
        await first.take(_DEADLINE_S)  # a part of the burst
        assert hub._at is not None
        second = Stream("teacher-0007", hub._at)
        hub._streams["teacher-0007"].add(second)
        begun, heard = second.reached.inbox, list[int]()
        while len(heard) < _BURST - begun and second.end is None:
            heard.extend(each.position for each in await second.take(_DEADLINE_S))
        await looking

    assert begun < _BURST
    assert heard == list(range(begun + 1, _BURST + 1))


async def test_when_the_process_ends_nobody_waits_for_what_was_missed() -> None:
    asked = asyncio.Event()

    async def never(_resumes: Sequence[Resume]) -> list[Missed]:
        asked.set()
        await asyncio.Event().wait()
        return []

    resumes = Resumes(never)
    under_way = asyncio.create_task(resumes.missed(Resume("teacher-0007", _place(1), _place(2))))
    async with asyncio.timeout(_DEADLINE_S):
        await asked.wait()
        waiting = asyncio.create_task(resumes.missed(Resume("teacher-0008", _place(1), _place(2))))
        await asyncio.sleep(0)
        await resumes.close()
        ended = await asyncio.gather(under_way, waiting, return_exceptions=True)

    assert [type(each) for each in ended] == [asyncio.CancelledError] * 2


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


def _ids(messages: list[Message]) -> list[int]:
    return [each.id.inbox for each in messages]


def test_what_waits_for_a_slow_reader_is_sent_in_the_order_of_its_ids() -> None:
    stream = Stream("teacher-0007", _place(0))
    stream.put(_message(5))
    stream.put_state("batch-1", _state("batch-1", 5))
    stream.put_state("batch-2", _state("batch-2", 7))
    stream.put(_message(9))

    taken = stream.taken()

    assert _ids(taken) == [5, 5, 7, 9]
    assert [each.position for each in taken] == [5, 0, 0, 9]


def test_a_state_seen_before_what_the_client_has_does_not_take_the_client_back() -> None:
    stream = Stream("teacher-0007", _place(0))
    stream.begin_after(_place(9))  # it comes from a process that was further than this one
    stream.put_state("batch-1", _state("batch-1", 3))

    [taken] = stream.taken()

    assert taken.id.inbox == 9
    assert StreamId.parse(str(taken.id)) == taken.id
    assert json.loads(taken.json) == {
        "batch_id": "batch-1",
        "notification_type": "batch_status_updated",
        "id": str(taken.id),
    }


def test_after_a_restore_to_an_earlier_place_a_stream_hears_what_happens_from_there() -> None:
    stream = Stream("teacher-0007", _place(900))
    stream.put(_message(901))
    stream.begin_anew(message(RESYNC, _place(20), {"detail": ""}))
    stream.put(_message(21))

    assert _ids(stream.taken()) == [20, 21]


async def test_a_socket_that_resumes_gets_what_it_missed_before_what_happens_now() -> None:
    stream, sent, everything = Stream("teacher-0007", _place(10)), list[int](), asyncio.Event()
    stream.put(_message(11))
    stream.put_state("batch-1", _state("batch-1", 10))
    frames = [{"type": "websocket.receive", "text": '{"type":"resume","last_event_id":"known"}'}]

    async def receive() -> Any:
        await asyncio.sleep(0)  # the sender has its turn first
        if not frames:
            await everything.wait()
            return {"type": "websocket.disconnect"}
        return frames.pop()

    async def send_text(text: str) -> None:
        found = StreamId.parse(json.loads(text)["id"])
        assert found is not None
        sent.append(found.inbox)
        if found.inbox == 11:
            everything.set()

    async def resumed(_stream: Stream, last_id: str) -> list[Message]:
        assert last_id == "known"
        await asyncio.sleep(0)
        return [_message(8), message(READY, stream.reached, {})]

    websocket = SimpleNamespace(query_params={}, receive=receive, send_text=send_text, client_state=None)
    hub = cast(Hub, SimpleNamespace(resumed=resumed))
    async with asyncio.timeout(_DEADLINE_S):
        await _Socket(hub, stream, cast(Any, websocket), IDENTITY).run()

    assert sent == [8, 10, 10, 11]
