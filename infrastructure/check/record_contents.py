"""What a record on an out-topic holds against what its event calls for: key, content and headers.

An event gives the same bytes whenever it is told, so digests are compared, and only where two differ both sides
are read again to tell in what. A header that names the span of the sending differs each time and is left out.

After a restore one id can stand for a record of then and an event of now: the same messages were ingested
again, at another time. Who says the same at another time was told before the restore, and is not altered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

import orjson
from aiokafka.structs import ConsumerRecord

from application.envelopes import OutgoingMessage, outgoing_messages
from infrastructure.check.readable import readable
from infrastructure.check.renumbered_records import Record, said
from infrastructure.eventstore.log import NotificationLog
from infrastructure.kafka.committed_records import Partition, committed_records, event_id_of, is_ours

_SPAN: Final = "traceparent"
_DIGEST_BYTES: Final = 16
_NAMED: Final = 5


def digest_of(told: OutgoingMessage | ConsumerRecord) -> bytes:
    """Return a digest of key, content and headers, the same for a message and for its record."""
    parts = [told.key or b"", told.value or b""]
    for name, value in told.headers:
        if name != _SPAN:
            parts += (name.encode(), value or b"")
    return blake2b(b"\0".join(parts), digest_size=_DIGEST_BYTES).digest()


async def altered(
    log: NotificationLog,
    bootstrap_servers: str,
    suspects: Collection[Record],
    *,
    since: int,
    offsets: Mapping[Partition, int],
) -> dict[Record, str]:
    """Return those of `suspects`, whose digests differ, that were not told before a restore, and in what they differ.

    Events are looked for after the notification id `since`, records from `offsets` on.
    """
    if not suspects:
        return {}
    called_for: dict[Record, OutgoingMessage] = {}
    async for recorded in readable(log, since):
        for message in outgoing_messages(recorded.event):
            record = (message.topic, dict(message.headers)["event_id"].decode())
            if record in suspects:
                called_for[record] = message
    found: dict[Record, str] = {}
    looked_at: set[Record] = set()
    async with committed_records(bootstrap_servers, sorted({topic for topic, _ in suspects})) as there:
        async for told in there.read(offsets):
            record = (told.topic, id_of(told))
            if record in called_for and is_ours(told) and record not in looked_at:
                looked_at.add(record)
                if not _is_of_before(called_for[record], told):
                    found[record] = ", ".join(_differences(called_for[record], told))
    return found


def id_of(record: ConsumerRecord) -> str:
    """Return the event id in a record's headers, else in its envelope, else its coordinates."""
    try:
        return event_id_of(record) or str(orjson.loads(record.value)["event_id"])
    except (ValueError, TypeError, KeyError):
        return f"{record.topic}/{record.partition}/{record.offset}"


def _is_of_before(expected: OutgoingMessage, told: ConsumerRecord) -> bool:
    there = _json(told.value)
    if told.key != expected.key or not isinstance(there, dict):
        return False
    says = said(expected.topic, expected.value)
    is_another_time = there.get("event_timestamp") != _json(expected.value)["event_timestamp"]
    return is_another_time and says is not None and says == said(told.topic, told.value)


def _differences(expected: OutgoingMessage, told: ConsumerRecord) -> list[str]:
    names = [] if told.key == expected.key else ["its key"]
    if told.value != expected.value:
        names += _paths(_json(expected.value), _json(told.value), "") or ["its bytes"]
    if _named(told.headers) != _named(expected.headers):
        names.append("its headers")
    return names if len(names) <= _NAMED else [*names[:_NAMED], f"and {len(names) - _NAMED} more"]


def _paths(one: Any, other: Any, place: str) -> list[str]:
    """Return where two JSON values differ, as names joined by dots."""
    if isinstance(one, dict) and isinstance(other, dict):
        inner: Iterator[list[str]] = (
            _paths(one.get(name), other.get(name), f"{place}.{name}" if place else name)
            for name in dict.fromkeys([*one, *other])
        )
        return [path for paths in inner for path in paths]
    return [] if one == other else [place or "its content"]


def _named(headers: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in headers if name != _SPAN]


def _json(value: bytes | None) -> Any:
    try:
        return orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
