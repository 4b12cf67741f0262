"""Reads stream files: upstream's messages as they arrive, one JSON object a line, broken ones included.

A line is `{"topic", "key", "headers", "value"}`, and `"case"` where a file of malformed messages names
one. The value is the envelope itself, null (a tombstone), `{"raw": base64}`, or
`{"raw_repeat": {"prefix", "repeat", "suffix", "count"}}` (prefix, repeat count times, suffix, base64 each)
for bytes that are no JSON, or too many to write down.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from application.messages import IncomingMessage
from application.topics import INPUT_TOPICS

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
"""Stream files, each with what must come out of it beside it as NAME.expected.json."""

SCENARIO_NAMES: Final = tuple(
    sorted(path.stem for path in SCENARIOS.glob("*.jsonl") if path.stem != "two-pipelines")
)
"""The streams in which each batch goes through one pipeline; what must come out is written in one form for all."""

Place = tuple[str | int, ...]
"""Where a value lies in a message: member names and list places."""

RECEIVED_AT: Final = datetime(2026, 3, 8, tzinfo=UTC)
"""A day after the scenarios' messages were sent."""

RECORD_TIME: Final = datetime(2026, 3, 7, 23, 59, tzinfo=UTC)
"""When the broker wrote down the message, a minute before."""


@dataclass(frozen=True, slots=True)
class StreamLine:
    """One message of a stream file; `number` counts from 1 and is the message's offset too."""

    number: int
    message: IncomingMessage
    case: str | None


def scenario(name: str) -> Iterator[StreamLine]:
    """Read the stream of scenario `name`, in order of arrival."""
    return read_stream(SCENARIOS / f"{name}.jsonl")


def expectations(name: str) -> dict[str, Any]:
    """Return what must come out of scenario `name`."""
    expected: dict[str, Any] = json.loads((SCENARIOS / f"{name}.expected.json").read_bytes())
    return expected


def read_stream(path: Path) -> Iterator[StreamLine]:
    """Read a stream file, in order of arrival."""
    with path.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            line = json.loads(text)
            yield StreamLine(number, as_message(line, offset=number), line.get("case"))


def as_message(line: dict[str, Any], *, offset: int) -> IncomingMessage:
    """Return the record that `line` of a stream file stands for."""
    key = line["key"]
    return IncomingMessage(
        topic=line["topic"],
        partition=0,
        offset=offset,
        timestamp_ms=int(RECORD_TIME.timestamp() * 1000),
        key=None if key is None else key.encode(),
        value=value_bytes(line["value"]),
        headers=tuple((name, str(value).encode()) for name, value in line["headers"].items()),
    )


def value_bytes(value: Any) -> bytes | None:
    """Return the bytes that a line's value stands for, None for a tombstone."""
    match value:
        case None:
            return None
        case {"raw": raw}:
            return b64decode(raw)
        case {"raw_repeat": parts}:
            prefix, repeat, suffix = (b64decode(parts[name]) for name in ("prefix", "repeat", "suffix"))
            return prefix + repeat * int(parts["count"]) + suffix
        case _:
            return json.dumps(value, ensure_ascii=False).encode()


def record(topic: str, value: bytes | dict[str, Any] | None) -> IncomingMessage:
    """Return the record of `topic` in which `value` lies, written at RECORD_TIME."""
    return IncomingMessage(
        topic=topic,
        partition=2,
        offset=4711,
        timestamp_ms=int(RECORD_TIME.timestamp() * 1000),
        key=b"key",
        value=json.dumps(value).encode() if isinstance(value, dict) else value,
    )


@cache
def fullest_messages() -> dict[str, dict[str, Any]]:
    """Return for each topic the well-formed message of the scenarios that says most."""
    longest: dict[str, bytes] = {}
    for name in SCENARIO_NAMES:
        for line in scenario(name):
            topic, value = line.message.topic, line.message.value or b""
            if topic in INPUT_TOPICS and line.case is None and len(value) > len(longest.get(topic, b"")):
                longest[topic] = value
    return {topic: json.loads(value) for topic, value in longest.items()}


def altered(topic: str, path: Place, value: Any = ..., /) -> dict[str, Any]:
    """Return the fullest message of `topic` with `value` at `path`, or without what is there."""
    message = deepcopy(fullest_messages()[topic])
    here: Any = message
    for name in path[:-1]:
        here = here[name]
    if value is ...:
        del here[path[-1]]
    else:
        here[path[-1]] = value
    return message


def every_place(value: Any, path: Place = ()) -> Iterator[Place]:
    """Yield the place of each value in `value`, objects and lists included, the first of each list only."""
    parts = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for name, part in parts:
        yield (*path, name)
        yield from every_place(part, (*path, name))
