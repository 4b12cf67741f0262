#!/usr/bin/env python3
"""A consumer of "batch results ready", small and whole: the shape that a feedback service starts from.

Run it beside RAS (`docs/consumers.md` has the contract and the words to start it). It needs `aiokafka` and
`httpx` and nothing of RAS's code.

For each record three things happen, in this order: the work, a note in a file that the work of this event
is done, the commit to Kafka. Killed between the first two, it does the work again. Killed between the last
two, it gets the record again, finds the note and drops it; so it does with a record that was sent twice.
Nothing is committed ahead of its work, so nothing is lost. A record whose work cannot be done just now is
read again after a pause: the consumer keeps asking Kafka meanwhile, and so keeps its partitions.

RAS says that results are ready in the same moment as it records them; what it answers over HTTP follows
some milliseconds later, and so does the assessment app. An answer that does not show yet what the event
says is therefore asked for again, for `--patience` seconds. After that it is taken for what it is: a later
outcome, with an event of its own further on; an assessment that there is not; a batch that has been
forgotten.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError, KafkaError

TOPIC: Final = "huleedu.ras.batch.results.ready.v1"

_POLL_MS: Final = 250
_REQUEST_TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0
_SHOWN_AS: Final = {"failed_critically": "failed"}
"""Where the API has another word for an outcome than the event."""
_UNJUDGED: Final = frozenset({"failed_critically", "cancelled"})
"""Outcomes of batches that were stopped: nobody need wait for their assessment."""


class NotNowError(Exception):
    """RAS cannot be asked just now; the same question may be answered later."""


class RefusedError(Exception):
    """RAS does not take what we send: a person must look at it."""


@dataclass(frozen=True, slots=True)
class ResultsReady:
    """What this consumer needs of a BatchResultsReadyV1."""

    event_id: str
    correlation_id: str
    batch_id: str
    overall_status: str
    revision: int

    @classmethod
    def from_value(cls, value: bytes | None) -> ResultsReady:
        """Read a record's value, taking no notice of fields unknown here. Raises ValueError when it is none."""
        try:
            envelope = json.loads(value or b"")
            data = envelope["data"]
            return cls(
                event_id=str(envelope["event_id"]),
                correlation_id=str(envelope["correlation_id"]),
                batch_id=str(data["batch_id"]),
                overall_status=str(data["overall_status"]),
                revision=int((envelope.get("metadata") or {}).get("revision", 1)),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"it is no BatchResultsReadyV1 ({error!r})") from error


class Handled:
    """The ids of events whose work is done, in a SQLite file.

    Several consumers of one group must share what they remember: then this is a table of their database,
    best written in the transaction of the work itself.
    """

    def __init__(self, path: Path) -> None:
        # Used by one task, though by more than one thread: the calls block and are made off the event loop.
        self._database = sqlite3.connect(path, check_same_thread=False)
        with self._database:
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS handled"
                " (event_id TEXT PRIMARY KEY, batch_id TEXT NOT NULL, revision INTEGER NOT NULL)"
            )

    def includes(self, event: ResultsReady) -> bool:
        """Whether the work of this event is done."""
        found = self._database.execute("SELECT 1 FROM handled WHERE event_id = ?", (event.event_id,))
        return found.fetchone() is not None

    def note(self, event: ResultsReady) -> None:
        """Note that it is; durable on return."""
        with self._database:
            self._database.execute(
                "INSERT OR IGNORE INTO handled VALUES (?, ?, ?)",
                (event.event_id, event.batch_id, event.revision),
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


class ResultsApi:
    """RAS over HTTP."""

    def __init__(self, url: str, *, api_key: str, service_id: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"X-Internal-API-Key": api_key, "X-Service-ID": service_id},
            timeout=_REQUEST_TIMEOUT_S,
        )

    async def analysis(self, event: ResultsReady) -> dict[str, Any] | None:
        """Return the batch with what the assessment app knows of it, None if RAS does not know the batch.

        Raises NotNowError and RefusedError.
        """
        try:
            response = await self._http.get(
                f"/internal/v1/batches/{quote(event.batch_id, safe='')}/status",
                params={"include": "assessment"},
                headers={"X-Correlation-ID": event.correlation_id},
            )
            if response.status_code == httpx.codes.OK:
                body: dict[str, Any] = response.json()
                return body
        except (httpx.TransportError, ValueError) as error:
            raise NotNowError(f"RAS does not answer ({type(error).__name__})") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code >= 500 or response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise NotNowError(f"RAS answers with status {response.status_code}")
        raise RefusedError(
            f"RAS refuses with status {response.status_code}: {response.text.strip()} "
            "Its RAS_INTERNAL_API_KEY must be ours, and its RAS_ALLOWED_SERVICES must name us."
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def what_is_missing(event: ResultsReady, body: dict[str, Any] | None) -> str | None:
    """Return what `body` does not show yet though `event` says it, None when all is there."""
    if body is None:
        return "RAS does not know this batch"
    if body["overall_status"] != _SHOWN_AS.get(event.overall_status, event.overall_status):
        return f"RAS shows it as {body['overall_status']}"
    if not body["assessment"]["available"] and event.overall_status not in _UNJUDGED:
        return f"no assessment: {body['assessment']['reason']}"
    return None


def described(event: ResultsReady, body: dict[str, Any] | None, missing: str | None) -> str:
    """Return the line of a batch. A feedback service would do its work here instead."""
    line = f"{event.batch_id} revision {event.revision}: {event.overall_status}"
    if body is not None:
        line += f", {body['completed_essay_count']} of {body['essay_count']} essays"
        for job in body["assessment"].get("jobs", ()):
            line += f", judging {job['job_id']} {job['state']}"
            reliability = job["reliability"]["ssr"]
            line += "" if reliability is None else f" with SSR {reliability:.2f}"
    return f"{line}; {missing}" if missing else line


class FeedbackConsumer:
    """Handles the records of its partitions one after the other until told to stop."""

    def __init__(
        self, consumer: AIOKafkaConsumer, api: ResultsApi, handled: Handled, *, patience_s: float
    ) -> None:
        self._consumer = consumer
        self._api = api
        self._handled = handled
        self._patience_s = patience_s
        self._waiting_since: dict[str, float] = {}
        self._pauses = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Handle records until `stopping` is set. Raises RefusedError."""
        while not stopping.is_set():
            records = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=1)
            for partition, [record] in records.items():
                try:
                    await self._handle(record)
                except NotNowError as error:
                    await self._read_again(partition, record, error, stopping)
                else:
                    self._pauses = 0
                    await self._commit(partition, record)

    async def _handle(self, record: ConsumerRecord) -> None:
        try:
            event = ResultsReady.from_value(record.value)
        except ValueError as error:
            # Not ours to mend: a service of its own would put it aside where a person finds it.
            _warn(f"left out {record.topic}-{record.partition} offset {record.offset}: {error}")
            return
        if await asyncio.to_thread(self._handled.includes, event):
            _warn(f"dropped a repeat: {event.batch_id} revision {event.revision}, event {event.event_id}")
            return
        body = await self._api.analysis(event)
        missing = what_is_missing(event, body)
        waiting_since = self._waiting_since.setdefault(event.event_id, time.monotonic())
        if missing and time.monotonic() - waiting_since < self._patience_s:
            raise NotNowError(f"{event.batch_id}: {missing}")
        print(described(event, body, missing), flush=True)
        await asyncio.to_thread(self._handled.note, event)
        del self._waiting_since[event.event_id]

    async def _read_again(
        self, partition: TopicPartition, record: ConsumerRecord, error: NotNowError, stopping: asyncio.Event
    ) -> None:
        if self._pauses == 0:
            _warn(f"{error}; trying again")
        with contextlib.suppress(IllegalStateError):  # the partition is another's now, and so is the record
            self._consumer.seek(partition, record.offset)
        longest = min(_LONGEST_PAUSE_S, _PAUSE_S * 2.0**self._pauses)
        self._pauses = min(self._pauses + 1, 16)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), random.uniform(longest / 2, longest))  # noqa: S311

    async def _commit(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        try:
            await self._consumer.commit({partition: record.offset + 1})
        except KafkaError as error:
            # The next commit says the same and more; until then the note keeps the work from being repeated.
            _warn(f"could not commit {partition.partition}@{record.offset + 1}: {type(error).__name__}")


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Print a line for each batch whose results are ready, each once.",
        epilog="The API key is read from RAS_INTERNAL_API_KEY.",
    )
    parser.add_argument("--kafka", default="127.0.0.1:9092", metavar="HOST:PORT", help="default: %(default)s")
    parser.add_argument(
        "--api", default="http://127.0.0.1:4003", metavar="URL", help="RAS's API; default: %(default)s"
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path("ai-feedback.sqlite"),
        metavar="FILE",
        help="what is done; default: %(default)s",
    )
    parser.add_argument("--group", default="ai-feedback", help="consumer group; default: %(default)s")
    parser.add_argument(
        "--service-id", default="ai-feedback-service", help="as RAS allows it; default: %(default)s"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for what the event says to be there; default: %(default)s",
    )
    arguments = parser.parse_args()
    if not os.environ.get("RAS_INTERNAL_API_KEY"):
        parser.error("set RAS_INTERNAL_API_KEY to the key that RAS takes")
    return arguments


async def _run(arguments: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=arguments.kafka,
        group_id=arguments.group,
        enable_auto_commit=False,  # it would commit what is fetched, not what is done
        auto_offset_reset="earliest",  # a new group, or one that Kafka has forgotten, begins at the beginning
        isolation_level="read_committed",  # aiokafka's default also shows what a transaction took back
    )
    async with contextlib.AsyncExitStack() as stack:
        handled = Handled(arguments.state)
        stack.callback(handled.close)
        api = ResultsApi(
            arguments.api,
            api_key=os.environ["RAS_INTERNAL_API_KEY"],
            service_id=arguments.service_id,
        )
        stack.push_async_callback(api.close)
        stack.push_async_callback(consumer.stop)
        if await _started(consumer, stopping):
            await FeedbackConsumer(consumer, api, handled, patience_s=arguments.patience).run(stopping)


async def _started(consumer: AIOKafkaConsumer, stopping: asyncio.Event) -> bool:
    """Join the group, which takes its time; False when told to stop meanwhile."""
    starting = asyncio.ensure_future(consumer.start())
    asked = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return False
    await starting
    return True


def main() -> int:
    """Run until SIGTERM or Ctrl-C. Return 0 then, and 1 with a sentence when a person must look."""
    arguments = _arguments()
    try:
        asyncio.run(_run(arguments))
    except KafkaConnectionError:
        _warn(f"Kafka does not answer at {arguments.kafka}.")
    except RefusedError as error:
        _warn(str(error))
    except sqlite3.Error as error:
        _warn(f"{arguments.state} cannot be used: {error}.")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
