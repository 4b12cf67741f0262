"""Stream files: recorded messages, one JSON object a line."""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO

from infrastructure.cli.failures import CommandError
from infrastructure.input_files import STANDARD_INPUT, open_input

_FORM: Final = 'Each line is {"topic": …, "key": …, "headers": {…}, "value": …}; key and value may be null, headers may be left out.'

_LONGEST_LINE: Final = 128 * 1024 * 1024
"""In characters: Kafka takes 10 MB, which as base64 or as escapes (`\\u0041`) are several times as many."""


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One line of a stream file."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        return (
            len(self.key or b"")
            + len(self.value or b"")
            + sum(len(name) + len(value) for name, value in self.headers)
        )


class _NotAMessageError(Exception):
    """The text says what is wrong with a line."""


def read_stream(file: Path) -> list[RecordedMessage]:
    """Return the messages of a stream file, `-` being standard input.

    Raises CommandError naming the line that is wrong, or if there is no message.
    """
    name = "standard input" if str(file) == STANDARD_INPUT else str(file)
    shown = name if name == str(file) else name.capitalize()
    try:
        with io.TextIOWrapper(open_input(file), encoding="utf-8") as lines:
            messages = list(_parsed(lines, name))
    except OSError as error:
        raise CommandError(f"{shown} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{shown} cannot be read: it is not UTF-8 text. {_FORM}") from error
    if not messages:
        raise CommandError(f"{shown} holds no message. {_FORM}")
    return messages


def _parsed(lines: TextIO, name: str) -> Iterator[RecordedMessage]:
    for number, line in enumerate(iter(partial(lines.readline, _LONGEST_LINE + 1), ""), 1):
        if len(line) > _LONGEST_LINE:
            raise _refusal(name, number, f"it has more than {_LONGEST_LINE:,} characters")
        if not line.strip():
            continue
        try:
            yield _message(json.loads(line))
        except json.JSONDecodeError as error:
            raise _refusal(name, number, f"it is not JSON: {error.msg} at column {error.colno}") from error
        except (_NotAMessageError, ValueError, RecursionError) as error:
            raise _refusal(name, number, str(error)) from error


def _refusal(name: str, number: int, why: str) -> CommandError:
    return CommandError(f"{name}, line {number}: {why}. {_FORM} Nothing was sent.")


def _message(line: Any) -> RecordedMessage:
    if not isinstance(line, dict):
        raise _NotAMessageError("it is not a JSON object")
    for name in ("topic", "key", "value"):
        if name not in line:
            raise _NotAMessageError(f'"{name}" is missing')
    topic, key, headers = line["topic"], line["key"], line.get("headers") or {}
    if not isinstance(topic, str) or not topic:
        raise _NotAMessageError('"topic" is not a name')
    if not isinstance(headers, dict):
        raise _NotAMessageError('"headers" is not a JSON object')
    return RecordedMessage(
        topic,
        None if key is None else str(key).encode(),
        _value(line["value"]),
        [(name, str(text).encode()) for name, text in headers.items()],
    )


def _value(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        if isinstance(value, dict) and value.keys() == {"raw"}:
            return base64.b64decode(value["raw"])
        if isinstance(value, dict) and value.keys() == {"raw_repeat"}:
            raw = value["raw_repeat"]
            parts = {name: base64.b64decode(raw[name]) for name in ("prefix", "repeat", "suffix")}
            return parts["prefix"] + parts["repeat"] * int(raw["count"]) + parts["suffix"]
    except (binascii.Error, KeyError, TypeError, ValueError) as error:
        raise _NotAMessageError(
            '"value" is neither {"raw": BASE64} nor {"raw_repeat": {"prefix": BASE64, "repeat": BASE64, '
            '"suffix": BASE64, "count": NUMBER}}'
        ) from error
    # Not orjson: a recorded value may hold integers beyond 64 bits, and is to be sent as it was.
    return json.dumps(value, separators=(",", ":")).encode()
