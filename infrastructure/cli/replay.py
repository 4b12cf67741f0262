"""`ras replay`: send a recorded stream to Kafka."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import typer
from aiokafka import AIOKafkaProducer
from rich.progress import Progress

from infrastructure.addresses import kafka_servers
from infrastructure.cli.failures import CommandError
from infrastructure.cli.starting import prepared, run
from infrastructure.kafka.topics import MAX_MESSAGE_BYTES
from infrastructure.servers import servers_from


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One line of a stream file."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def replay(file: Path, *, bootstrap_servers: str | None, rate: float, json_output: bool) -> None:
    """Send a stream file to Kafka, `rate` messages a second (0: as fast as it goes)."""
    settings = prepared()
    if bootstrap_servers is not None:
        try:
            kafka_servers(bootstrap_servers)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--bootstrap-servers") from error
        settings = settings.model_copy(update={"kafka_bootstrap_servers": bootstrap_servers})
    if settings.kafka_bootstrap_servers is None:
        servers_from(settings.model_copy(update={"database_url": settings.database_url or "postgresql://"}))
    messages = read_stream(file)
    run(_send(messages, settings.kafka_bootstrap_servers or "", rate))
    if json_output:
        typer.echo(json.dumps({"sent": len(messages), "topics": sorted({m.topic for m in messages})}))
    else:
        typer.echo(f"{len(messages)} messages sent.")


def read_stream(file: Path) -> list[RecordedMessage]:
    """Return the messages of a stream file. Raises CommandError naming the line that is wrong."""
    if str(file) == "-":
        return list(_parsed(sys.stdin, "standard input"))
    try:
        with file.open(encoding="utf-8") as lines:
            return list(_parsed(lines, str(file)))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error


def _parsed(lines: TextIO, name: str) -> Iterator[RecordedMessage]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _message(json.loads(line))
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise CommandError(
                f"{name}, line {number}: not a recorded message ({type(error).__name__}: {error}). Each line "
                'is {"topic": …, "key": …, "headers": {…}, "value": …}. Nothing was sent.'
            ) from error


def _message(line: dict[str, Any]) -> RecordedMessage:
    key, value = line["key"], line["value"]
    if not isinstance(line["topic"], str) or not line["topic"]:
        raise TypeError("topic must be a name")
    return RecordedMessage(
        line["topic"],
        None if key is None else str(key).encode(),
        _value(value),
        [(name, str(text).encode()) for name, text in (line.get("headers") or {}).items()],
    )


def _value(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, dict) and value.keys() == {"raw"}:
        return base64.b64decode(value["raw"])
    if isinstance(value, dict) and value.keys() == {"raw_repeat"}:
        parts = {name: base64.b64decode(value["raw_repeat"][name]) for name in ("prefix", "repeat", "suffix")}
        return parts["prefix"] + parts["repeat"] * int(value["raw_repeat"]["count"]) + parts["suffix"]
    # Not orjson: a recorded value may hold integers beyond 64 bits, and is to be sent as it was.
    return json.dumps(value, separators=(",", ":")).encode()


async def _send(messages: list[RecordedMessage], bootstrap_servers: str, rate: float) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_MESSAGE_BYTES,
        linger_ms=5,
    )
    try:
        await producer.start()
        with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("sending", total=len(messages))
            pending = []
            for message in messages:
                pending.append(
                    await producer.send(
                        message.topic, message.value, key=message.key, headers=message.headers
                    )
                )
                progress.advance(task)
                if rate:
                    await asyncio.sleep(1 / rate)
            await asyncio.gather(*pending)
    finally:
        await producer.stop()
