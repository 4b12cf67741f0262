"""What a record on an out-topic holds against what its event calls for: key, content and headers.

An event gives the same bytes whenever it is told, so digests are compared, and only where two differ both sides
are read again to tell in what. A header that names the span of the sending differs each time and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

import orjson
from aiokafka.structs import ConsumerRecord

from application.envelopes import OutgoingMessage
from infrastructure.kafka.committed_records import event_id_of

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


def id_of(record: ConsumerRecord) -> str:
    """Return the event id in a record's headers, else in its envelope, else its coordinates."""
    try:
        return event_id_of(record) or str(orjson.loads(record.value)["event_id"])
    except (ValueError, TypeError, KeyError):
        return f"{record.topic}/{record.partition}/{record.offset}"


def event_time(value: bytes | None) -> object:
    """Return when a message's event was recorded, as its envelope has it; None where that cannot be read."""
    envelope = _json(value)
    return envelope.get("event_timestamp") if isinstance(envelope, dict) else None


def differences(expected: OutgoingMessage, told: ConsumerRecord) -> list[str]:
    """Return in what a record differs from what its event calls for, as a few names."""
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
