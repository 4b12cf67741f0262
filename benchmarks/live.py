"""The live stream and the pages: memory per stream, delay, coming back together, and the largest pages.

    python -m benchmarks.live [--streams 5000] [--rate 500] [--seconds 10]

One `ras serve` and one `ras project`. Each stream is of another teacher. Batches of one essay lie ready but for their
last message; a process of its own ingests those at the rate, and each makes two notifications. The delay runs from the
commit to the client, through the projection. Then all connections are cut at once while more is ingested; each client
comes back with the last id that it has, and what it has by then is counted. The baseline of the pages is the status
route of the same batch.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx
import numpy as np
import psutil
import psycopg

from application.topics import ASSESSMENT_RESULT, BATCH_PIPELINE_COMPLETED
from benchmarks.report import report
from benchmarks.servers import BenchServers, role, wait_until_ready
from infrastructure.demo.script import START, draw_script
from infrastructure.http.identity import Identity, roles_in
from infrastructure.http.sessions import COOKIE, session_cookie
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import free_port
from tests.support.accounts import all_is_projected
from tests.support.ingesting import Ingestion, in_partitions, intake_of, messages_of
from tests.support.people import SECRET, SESSION_KEY, token_for
from tests.support.postgres_probe import opened_store, probe
from tests.support.waiting import wait_until

_KINDS: Final = (b"event: batch_results_ready", b"event: batch_assessment_completed")
_EACH: Final = len(_KINDS)
_CUT_SHARE: Final = 0.2
_ROUNDS: Final = 15
_DEADLINE_S: Final = 300
_KEY: Final = "a-key-for-the-benchmark"


class Client(asyncio.Protocol):
    """A teacher's stream of server-sent events: what came, when, and where to go on."""

    def __init__(self, teacher: str, token: str) -> None:
        self.teacher = teacher
        self._token = token
        self.last_id = ""
        self.received: list[tuple[str, bytes, float]] = []
        self.ready = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._rest = b""

    async def connect(self, port: int) -> None:
        """Connect, with the last id where there is one; return when everything missed is there."""
        self.ready.clear()
        self._rest = b""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        async with asyncio.timeout(_DEADLINE_S):
            await self.ready.wait()

    def cut(self) -> None:
        """Lose the connection."""
        assert self._transport is not None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        resumed = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
        transport.write(
            f"GET /v1/notifications/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self._token}\r\n{resumed}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Note what came."""
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            for line in event.split(b"\n"):
                if line.startswith(b"id: "):
                    self.last_id = line[4:].decode()
                elif line in _KINDS:
                    body = json.loads(event.partition(b"data: ")[2].split(b"\r\n")[0])
                    self.received.append((body["batch_id"], line, time.monotonic()))
                elif line == b"event: stream_ready":
                    self.ready.set()


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--streams", type=int, default=5000)
    arguments.add_argument("--rate", type=int, default=500, help="notifications per second")
    arguments.add_argument("--seconds", type=int, default=10, help="how long")
    given = arguments.parse_args()
    count = min(given.streams, given.rate * given.seconds // _EACH)
    with TemporaryDirectory(prefix="ras-bench-") as folder, EmbeddedPostgres(Path(folder) / "pg") as postgres:
        servers = BenchServers(postgres, "127.0.0.1:1", Path(folder))
        url, port = servers.database("live"), free_port()
        settings = {
            "RAS_API_PORT": str(port),
            "RAS_JWT_SECRET": SECRET,
            "RAS_SESSION_KEYS": SESSION_KEY,
            "RAS_INTERNAL_API_KEY": _KEY,
            "RAS_HTTP_MAX_CONNECTIONS": str(2 * given.streams + 100),
        }
        begun, ends = _messages(count)
        _ingest(url, begun, 0)
        with role(servers, "project", url, settings), role(servers, "serve", url, settings):
            wait_until_ready(port)
            with probe(url) as store:  # what is measured then is not how the read models catch up
                wait_until(lambda: all_is_projected(store), what="all is projected", deadline_s=_DEADLINE_S)
            report(
                "live",
                f"{given.streams:,} live streams in one process, {given.rate} notifications/s",
                _of_targets(asyncio.run(_streams(url, port, _serving(), ends, given.streams, given.rate))),
                notes=[_load()],
            )
            report(
                "pages",
                "The largest pages",
                _of_targets(_pages(url, port)),
                notes=["The median of 15 requests on loopback, on the server and back.", _load()],
            )


def _of_targets(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**row, "of the target": row["measured"] / row["target"] if row["target"] else ""} for row in rows
    ]


def _load() -> str:
    load = os.getloadavg()[0]
    return f"Load average: {load:.1f} on {os.cpu_count()} CPUs, the clients of this process included."


def _messages(count: int) -> tuple[list[Any], list[Any]]:
    """Return the intakes of `count` batches but for the last message of each, and the last ones."""
    begun, ends = [], []
    for number in range(count):
        script = draw_script(
            f"live-{number}",
            starts_at=START,
            user_id=f"teacher-{number:05}",
            job_id=str(number + 1),
            essays=1,
            failed=0,
            rechecked=0,
            assessed=True,
        )
        messages = messages_of(script)
        [last] = [each for each in messages if each.topic == ASSESSMENT_RESULT]
        begun += [
            each for each in messages if each.topic not in (ASSESSMENT_RESULT, BATCH_PIPELINE_COMPLETED)
        ]
        ends.append((script.batch_id, last))
    return [intake_of(each) for each in in_partitions(begun)], [
        (batch_id, intake)
        for (batch_id, _), intake in zip(
            ends, [intake_of(each) for each in in_partitions(last for _, last in ends)], strict=True
        )
    ]


def _ingest(url: str, intakes: list[Any], base: int) -> None:
    with opened_store(url) as store:
        ingestion = Ingestion(store)
        for start in range(0, len(intakes), 1000):
            ingestion.insist([_moved(each, base) for each in intakes[start : start + 1000]])


def _moved(intake: Any, base: int) -> Any:
    """Return an intake from partitions of its own."""
    return replace(intake, message=replace(intake.message, partition=100 + base + intake.message.partition))


def _feed(url: str, ends: list[tuple[str, Any]], rate: int, base: int, times: Any) -> None:
    """In a process of its own: ingest the last messages at the rate, and tell when each was committed."""
    per_step, begun = max(1, rate // _EACH // 50), time.monotonic()
    with opened_store(url) as store:
        ingestion = Ingestion(store)
        for start in range(0, len(ends), per_step):
            due = begun + start * _EACH / rate
            time.sleep(max(0.0, due - time.monotonic()))
            step = ends[start : start + per_step]
            ingestion.insist([_moved(intake, base) for _, intake in step])
            now = time.monotonic()
            times.put([(batch_id, now) for batch_id, _ in step])
    times.put(None)


async def _fed(url: str, ends: list[tuple[str, Any]], rate: int, base: int) -> dict[str, float]:
    context = multiprocessing.get_context("fork")
    times = context.Queue()
    process = context.Process(target=_feed, args=(url, ends, rate, base, times))
    process.start()
    committed: dict[str, float] = {}
    while (step := await asyncio.to_thread(times.get, timeout=_DEADLINE_S)) is not None:
        committed.update(step)
    await asyncio.to_thread(process.join)
    return committed


async def _streams(
    url: str, port: int, pid: int, ends: list[tuple[str, Any]], streams: int, rate: int
) -> list[dict[str, Any]]:
    serve = psutil.Process(pid)
    clients = [
        Client(name, token_for(name)) for name in (f"teacher-{number:05}" for number in range(streams))
    ]
    before = serve.memory_info().rss
    begun = time.monotonic()
    gate = asyncio.Semaphore(200)

    async def connected(client: Client) -> None:
        async with gate:
            await client.connect(port)

    await asyncio.gather(*map(connected, clients))
    opened_s = time.monotonic() - begun
    per_stream = (serve.memory_info().rss - before) / streams / 1000

    share = int(len(ends) * (1 - _CUT_SHARE))
    cpu, begun = serve.cpu_times(), time.monotonic()
    committed = await _fed(url, ends[:share], rate, 0)
    await _received(clients, len(committed))
    used = serve.cpu_times()
    busy = (used.user + used.system - cpu.user - cpu.system) / (time.monotonic() - begun)
    delays = [
        1000 * (at - committed[batch_id])
        for client in clients
        for batch_id, _, at in client.received
        if batch_id in committed
    ]
    p50, p99 = np.percentile(delays, [50, 99])

    for client in clients:
        client.cut()
    feeding = asyncio.create_task(_fed(url, ends[share:], rate, 1000))
    begun = time.monotonic()
    await asyncio.gather(*map(connected, clients))
    back_s = time.monotonic() - begun
    await feeding
    await _received(clients, len(ends))
    found = Counter((batch_id, kind) for client in clients for batch_id, kind, _ in client.received)
    missing = _EACH * len(ends) - len(found)
    twice = sum(count - 1 for count in found.values())
    return [
        {"what": "memory per stream, KB", "measured": per_stream, "target": 60},
        {"what": f"all {streams:,} connected, s", "measured": opened_s, "target": None},
        {"what": "commit to client p50, ms", "measured": float(p50), "target": None},
        {"what": "commit to client p99, ms", "measured": float(p99), "target": 100},
        {"what": "CPU of the API process, cores", "measured": busy, "target": None},
        {"what": "all back after a cut, s", "measured": back_s, "target": 10},
        {"what": "notifications missed", "measured": missing, "target": 0},
        {"what": "notifications twice", "measured": twice, "target": 0},
    ]


async def _received(clients: list[Client], batches: int) -> None:
    """Return when every notification of so many batches is there, or at the deadline."""
    deadline = time.monotonic() + 60
    while sum(len(client.received) for client in clients) < _EACH * batches:
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.02)


_GROWN: Final = (
    """
    INSERT INTO ras_teacher_inbox.notifications SELECT (jsonb_populate_record(n, jsonb_build_object(
        'notification_id', gen_random_uuid(), 'teacher_id', 'teacher-big', 'position', 100000000 + g))).*
    FROM (SELECT n FROM ras_teacher_inbox.notifications n LIMIT 1) AS one, generate_series(1, 50000) g
    """,
    """
    INSERT INTO ras_batch_results.batches SELECT (jsonb_populate_record(b, jsonb_build_object(
        'batch_id', 'big-' || g, 'user_id', 'teacher-big'))).*
    FROM (SELECT b FROM ras_batch_results.batches b WHERE ended_at IS NOT NULL LIMIT 1) AS one, generate_series(1, 5000) g
    """,
    """
    INSERT INTO ras_batch_results.batches (batch_id, user_id, course_code, class_id, registered_at, last_updated, position,
        processing_started_at, status)
    SELECT 'open-' || g, 'teacher-open', 'ENG5', 'class-' || g % 40, now() - g * interval '1 s', now(), 1, now(),
        'processing_pipelines' FROM generate_series(1, 5000) g
    """,
    """
    INSERT INTO ras_batch_results.essays (batch_id, essay_id, ordinal, file_name, file_upload_id, text_storage_id,
        spellcheck_status, last_updated)
    SELECT 'open-' || g, 'open-' || g || '-' || n, n, 'essay.docx', 'file', 'text', CASE WHEN n <= 20 THEN 'completed' END, now()
    FROM generate_series(1, 5000) g, generate_series(1, 30) n
    """,
    """
    INSERT INTO ras_language_analyses.analyses (essay_id, text_storage_id, analysed_at, metrics, grammar, spelling_errors,
        errors, position)
    SELECT 'open-' || g || '-' || n, 'text', now(), '{"word_count": 300}', '{"error_count": 4}', '[]', '[]', 1
    FROM generate_series(1, 5000) g, generate_series(1, 10) n
    """,
    "ANALYZE",
)


def _pages(url: str, port: int) -> list[dict[str, Any]]:
    large = draw_script(
        "large", starts_at=START, user_id="teacher-large", job_id=str(10**9), essays=10_000, failed=5
    )
    _ingest(url, [intake_of(each) for each in in_partitions(messages_of(large))], 2000)
    with psycopg.connect(url, autocommit=True) as database:
        _wait_until_projected(database, large.batch_id)
        for statement in _GROWN:
            database.execute(statement)
        small, _ = _messages(1)[1][0]
    key = {"X-Internal-API-Key": _KEY, "X-Service-ID": "api-gateway-service"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as browser:
        rows = [
            _page(browser, "baseline: status route, ms", f"/internal/v1/batches/{small}/status", None, key)[0]
        ]
        for name, path, teacher, target in (
            ("first page, 5,000 batches, ms", "/batches", "teacher-big", 50),
            ("first page, 5,000 unfinished batches of 30 essays, ms", "/batches", "teacher-open", 50),
            ("first page, 50,000 notifications, ms", "/notifications", "teacher-big", 50),
            ("a batch of 10,000 essays, ms", f"/batches/{large.batch_id}", large.user_id, 300),
        ):
            cookie = session_cookie([SESSION_KEY], Identity(teacher, roles_in([]), 2**33))
            row, size = _page(browser, name, path, target, {"Cookie": f"{COOKIE}={cookie}"})
            rows += [row, {"what": "the same, compressed, KB", "measured": size, "target": 100}]
    return rows


def _page(
    browser: httpx.Client, what: str, path: str, target: int | None, headers: Mapping[str, str]
) -> tuple[dict[str, Any], float]:
    times = []
    for _ in range(_ROUNDS):
        begun = time.monotonic()
        answer = browser.get(path, headers=headers)
        times.append(1000 * (time.monotonic() - begun))
        assert answer.status_code == 200, answer.text
    size = len(gzip.compress(answer.content)) / 1000
    return {"what": what, "measured": float(np.median(times)), "target": target}, size


def _serving() -> int:
    """Return the id of the process that serves, which a guard has started."""
    [found] = [
        each.pid
        for each in psutil.Process().children(recursive=True)
        if each.cmdline()[1:] == ["-m", "infrastructure.cli", "serve"]
    ]
    return found


def _wait_until_projected(database: psycopg.Connection, batch_id: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    ended = "SELECT 1 FROM ras_batch_results.batches WHERE batch_id = %s AND ended_at IS NOT NULL"
    while database.execute(ended, (batch_id,)).fetchone() is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the read models were not there within {_DEADLINE_S} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
