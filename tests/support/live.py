"""Clients of the live stream, and what it streams from: the projections and the API at work, messages ingested by hand."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, count
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints
from uuid import NAMESPACE_URL, uuid5

import httpx
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from application import topics
from infrastructure.demo.message import UpstreamMessage, enveloped, wire_time
from infrastructure.demo.script import START
from infrastructure.http.json_schema import Schema
from infrastructure.live.asyncapi import asyncapi_document, payload_schema
from infrastructure.live.message_types import STREAMED, IdentityExpired
from infrastructure.postgres.schema import initialise
from tests.support.ingesting import Ingestion, in_partitions, intake_of, messages_of, small_batch
from tests.support.people import SECRET, SESSION_KEY, token_for
from tests.support.postgres_probe import opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rest_contract import check_times
from tests.support.role_process import Installation, RoleProcess
from tests.support.upstream import fullest_messages

TEACHER: Final = "teacher-0007"
"""The teacher of every `small_batch`."""
PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_DEADLINE_S: Final = 60.0
PEOPLE: Final = {"jwt_secret": SECRET, "session_keys": SESSION_KEY}

_DOCUMENT: Final = asyncapi_document()
_DESCRIBED: Final = {
    get_args(get_type_hints(kind)["notification_type"])[0]: payload_schema(kind)
    for kind in (*STREAMED, IdentityExpired)
}

Heard = dict[str, Any]


def check_described(schema: Schema, message: Heard) -> None:
    """Check a message against its schema in the AsyncAPI document."""
    Draft202012Validator({"components": _DOCUMENT["components"], **schema}).validate(message)


class Ears:
    """What a stream carries, one message after another, read on a thread."""

    def __init__(self) -> None:
        self._messages: queue.Queue[Heard | None] = queue.Queue()
        self.heard: list[Heard] = []

    def put(self, message: Heard | None) -> None:
        """Note a message; None is the end of the stream."""
        self._messages.put(message)

    def next(self) -> Heard | None:
        """Return the next message, None at the end."""
        message = self._messages.get(timeout=_DEADLINE_S)
        if message is not None:
            check_described(_DESCRIBED[message["notification_type"]], message)
            self.heard.append(message)
        return message

    def until(self, wanted: Callable[[Heard], bool]) -> Heard:
        """Return the first message that is wanted."""
        while (message := self.next()) is not None:
            if wanted(message):
                return message
        raise AssertionError(f"the stream ended: {self.heard}")

    def until_kind(self, kind: str) -> Heard:
        """Return the first message of a type."""
        return self.until(lambda message: message["notification_type"] == kind)

    def rest(self) -> list[Heard]:
        """Return what comes up to the end of the stream."""
        found = []
        while (message := self.next()) is not None:
            found.append(message)
        return found


class Live:
    """One installation with `ras project` and `ras serve`."""

    def __init__(self, ras: Installation, **settings: str) -> None:
        self.ras = ras
        self._told = count(1)
        self.settings = {**PEOPLE, **settings}
        self.projector = ras.start("project")
        self.api = self.serve()
        self.projector.wait_until_ready()

    def serve(self) -> RoleProcess:
        """Start one more API process."""
        return self.ras.start("serve", **self.settings).wait_until_ready()

    def serve_again(self) -> RoleProcess:
        """Start the API process that has ended again, at the same address."""
        port = self.api.url.rpartition(":")[2]
        return self.ras.start("serve", **{**self.settings, "api_port": port}).wait_until_ready()

    def tell(self, messages: Sequence[UpstreamMessage]) -> None:
        """Take messages in, from partitions that nothing came from before."""
        base = 100 * next(self._told)
        placed = (replace(each, partition=base + each.partition) for each in in_partitions(messages))
        with opened_store(self.ras.database_url) as store:
            Ingestion(store).insist([intake_of(each) for each in placed])

    def batch(self, name: str) -> str:
        """Take in all of a batch of `TEACHER`; return its id."""
        script = small_batch(name)
        self.tell(messages_of(script))
        return script.batch_id

    def inbox(self) -> list[Heard]:
        """Return the inbox of `TEACHER` as soon as it knows everything that was ingested."""
        with probe(self.ras.database_url) as database:
            end = database.value("SELECT max(notification_id) FROM ras.stored_events")
        for read_model in (f"/batches/user/{TEACHER}", f"/teachers/{TEACHER}/notifications"):
            answer = self.ras.get(self.api, f"{read_model}?after={end}")
            assert answer.status_code == 200, answer.text
        found: list[Heard] = answer.json()["notifications"]
        return found

    @contextmanager
    def events(
        self, teacher: str = TEACHER, *, api: RoleProcess | None = None, last_id: str | None = None
    ) -> Iterator[Ears]:
        """Server-sent events of a teacher, until the block ends."""
        headers = {"Authorization": f"Bearer {token_for(teacher)}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        ears = Ears()
        url = f"{(api or self.api).url}/v1/notifications/stream"
        with (
            httpx.Client(verify=PLAIN_HTTP, timeout=_DEADLINE_S) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            assert response.status_code == 200, response.read()
            reading = threading.Thread(target=_read_events, args=(response, ears), daemon=True)
            reading.start()
            try:
                yield ears
            finally:
                # Closed only, the socket would stay open for as long as the thread reads from it.
                with suppress(OSError):
                    response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
                reading.join()

    @contextmanager
    def socket(
        self, teacher: str = TEACHER, query: str = "", *, api: RoleProcess | None = None, **options: Any
    ) -> Iterator[ClientConnection]:
        """A WebSocket with the teacher's token in the address, as upstream's clients open it."""
        address = (api or self.api).url.replace("http://", "ws://")
        url = f"{address}/ws?token={token_for(teacher)}{query}"
        with connect(url, compression=None, **options) as connection:
            yield connection


def _read_events(response: httpx.Response, ears: Ears) -> None:
    event: dict[str, str] = {}
    with suppress(httpx.HTTPError, httpx.StreamError):
        for line in response.iter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
            elif not line and "data" in event:
                message = json.loads(event["data"])
                check_times(message)
                assert message["notification_type"] == event["event"]
                assert message.get("id") == event.get("id")
                ears.put(message)
                event = {}
    ears.put(None)


def received(connection: ClientConnection) -> Heard:
    """Return the next message of a WebSocket."""
    message: Heard = json.loads(connection.recv(timeout=_DEADLINE_S))
    check_times(message)
    return message


def received_until(connection: ClientConnection, kind: str) -> list[Heard]:
    """Return the messages up to the first of a type."""
    found = [received(connection)]
    while found[-1]["notification_type"] != kind:
        found.append(received(connection))
    return found


def close_code(connection: ClientConnection) -> int | None:
    """Return the code with which the server closes a WebSocket."""
    with suppress(ConnectionClosed):
        while True:
            connection.recv(timeout=_DEADLINE_S)
    return connection.close_code


@contextmanager
def live_on(
    server: PostgresServerUnderTest, folder: Path, *, bootstrap_servers: str = "", **settings: str
) -> Iterator[Live]:
    """An installation on a database of its own, until the block ends."""
    with fresh_database(server.url) as url:
        initialise(url)
        with Installation(url, bootstrap_servers, folder) as ras:
            yield Live(ras, **settings)


def judging_messages(
    job_id: str, *, note: str, batch_id: str | None = None, rounds: int = 2
) -> list[UpstreamMessage]:
    """Return the decisions of three judges on five texts, ten in each round; `note` is in every justification.

    Without a `batch_id` they name that of the example.
    """
    whole = fullest_messages()[topics.COMPARISON_RESULT]
    pairs = list(combinations([f"text-{name}" for name in "åäöab"], 2))
    made = []
    for number, (essay_a, essay_b) in enumerate(pairs * rounds):
        event_id, at = str(uuid5(NAMESPACE_URL, f"{job_id}/{number}")), START + timedelta(seconds=number)
        data = {
            **whole["data"],
            "request_id": event_id,
            "winner": "Essay A" if number % 3 else "Essay B",
            "justification": f"{note} {number}",
            "confidence": 3.0,
            "error_detail": None,
            "model": f"synthetic-model-{number % 3}",
            "requested_at": wire_time(at),
            "completed_at": wire_time(at),
            "request_metadata": {
                **whole["data"]["request_metadata"],
                "essay_a_id": essay_a,
                "essay_b_id": essay_b,
                "cj_batch_id": job_id,
                **({} if batch_id is None else {"bos_batch_id": batch_id}),
            },
        }
        made.append(
            enveloped(
                topics.COMPARISON_RESULT,
                None,
                data=data,
                metadata=None,
                event_id=event_id,
                correlation_id=event_id,
                sent_at=at,
            )
        )
    return made
