"""GET …/status of a batch of 30 essays, beside a bare route that selects the same bytes by primary key.

    python -m benchmarks.status_route [--seconds 3] [--rounds 5] [--connections 16]

`ras serve` and two bare routes (see `bare_route.py`) run in processes of their own, on one database; this
process asks over keep-alive connections, a request in flight on each. The servers take turns, round after
round, so that whatever else the machine does meets all of them. Compared are the medians of the rounds.
Before anything is measured, all of them must have given the same bytes for every batch.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from statistics import median
from typing import Any, Final

import httpx
import numpy as np
import psycopg
import uvloop

from benchmarks.bare_route import CREATE, DRIVERS, PATH
from benchmarks.report import report
from benchmarks.servers import BenchServers, role
from infrastructure.demo.stream import bulk
from infrastructure.embedded.postgres import EmbeddedPostgres
from infrastructure.embedded.processes import GuardedProcess, free_port
from tests.support.projecting import Chain

TARGET: Final = 0.70
_BATCHES: Final = 200
_ESSAYS: Final = 30
_KEY: Final = "benchmark-key"
_HEADERS: Final = {"X-Internal-API-Key": _KEY, "X-Service-ID": "api-gateway-service"}
_START_DEADLINE_S: Final = 30.0
_WARM_UP_S: Final = 2.0


@dataclass(frozen=True)
class Contender:
    """A server that answers, and how it did: requests a second by round, milliseconds by request."""

    name: str
    port: int
    rates: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and report."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=float, default=3, help="of a round")
    arguments.add_argument("--rounds", type=int, default=5, help="for each server")
    arguments.add_argument("--connections", type=int, default=16, help="requests in flight")
    given = arguments.parse_args()
    with database() as servers, contenders(servers) as (batch_ids, answering):
        requests = [_request(batch_id) for batch_id in batch_ids]
        for contender in answering:
            uvloop.run(ask(contender.port, requests, _WARM_UP_S, given.connections))
        for _ in range(given.rounds):
            for contender in answering:
                begun = time.perf_counter()
                times = uvloop.run(ask(contender.port, requests, given.seconds, given.connections))
                contender.rates.append(len(times) / (time.perf_counter() - begun))
                contender.latencies_ms.extend(1000 * each for each in times)
    report(
        "status_route",
        f"Status of a batch of {_ESSAYS} essays, {given.connections} connections, one process each",
        [_row(contender, answering[0]) for contender in answering],
        notes=[f"Target: at least {TARGET:.0%} of the bare route's requests/s, the same bytes from both."],
    )


@contextmanager
def database() -> Iterator[BenchServers]:
    """PostgreSQL in a temporary folder; no broker takes part."""
    with tempfile.TemporaryDirectory(prefix="ras-bench-") as folder:
        with EmbeddedPostgres(Path(folder) / "postgres") as postgres:
            yield BenchServers(postgres, "", Path(folder))


@contextmanager
def contenders(servers: BenchServers) -> Iterator[tuple[list[str], list[Contender]]]:
    """Run the API and the bare routes on one filled database; the baseline comes first."""
    url = servers.postgres.create_database("status_route")
    chain = Chain(url)
    chain.take(bulk(1, _BATCHES, _ESSAYS))
    batch_ids = list(chain.batches)
    port = free_port()
    settings = {"RAS_API_PORT": str(port), "RAS_INTERNAL_API_KEY": _KEY, "RAS_LOG_LEVEL": "warning"}
    with ExitStack() as stack:
        api = stack.enter_context(role(servers, "serve", url, settings))
        _await_port(api, port)
        bodies = [(batch_id, body(port, batch_id)) for batch_id in batch_ids]
        with psycopg.connect(url) as connection:
            connection.execute(CREATE)
            connection.cursor().executemany("INSERT INTO public.bodies VALUES (%s, %s)", bodies)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        bare = [stack.enter_context(_bare(servers, url, driver)) for driver in DRIVERS]
        answering = [*bare, Contender("ras serve", port)]
        for contender in answering:
            assert [(each, body(contender.port, each)) for each in batch_ids] == bodies, contender.name
        yield batch_ids, answering


@contextmanager
def _bare(servers: BenchServers, url: str, driver: str) -> Iterator[Contender]:
    port = free_port()
    process = GuardedProcess(
        [sys.executable, "-m", "benchmarks.bare_route", url, str(port), driver],
        log=servers.folder / f"bare-{driver}.log",
        stop_signal=SIGTERM,
        grace_s=10,
    )
    try:
        _await_port(process, port)
        yield Contender(f"bare route, {driver}", port)
    finally:
        process.stop()


def _await_port(process: GuardedProcess, port: int) -> None:
    def answers() -> bool:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=2)
        except httpx.TransportError:
            return False
        return True

    process.wait_until(answers, deadline_s=_START_DEADLINE_S, name=f"the server at port {port}")


def body(port: int, batch_id: str) -> bytes:
    """Return one answer."""
    path = PATH.format(batch_id=batch_id)
    response = httpx.get(f"http://127.0.0.1:{port}{path}", headers=_HEADERS)
    response.raise_for_status()
    return response.content


def _request(batch_id: str) -> bytes:
    lines = [f"GET {PATH.format(batch_id=batch_id)} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in _HEADERS.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def ask(port: int, requests: Sequence[bytes], seconds: float, connections: int) -> list[float]:
    """Send `requests` in turn, over and over, for `seconds`; return each one's seconds to its last byte."""
    times: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    asking = []
    for number in range(connections):
        finished: asyncio.Future[None] = loop.create_future()
        first = number * len(requests) // connections
        await loop.create_connection(
            _asker([*requests[first:], *requests[:first]], until, times, finished), "127.0.0.1", port
        )
        asking.append(finished)
    await asyncio.gather(*asking)
    return times


def _asker(
    requests: Sequence[bytes], until: float, times: list[float], finished: asyncio.Future[None]
) -> Callable[[], _Asker]:
    return lambda: _Asker(requests, until, times, finished)


class _Asker(asyncio.Protocol):
    """One connection. HTTP by hand: a client library would cost more than the servers that are measured."""

    def __init__(
        self, requests: Sequence[bytes], until: float, times: list[float], finished: asyncio.Future[None]
    ) -> None:
        self._requests = requests
        self._until = until
        self._times = times
        self._finished = finished
        self._sent = 0
        self._missing: int | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._missing is None:
            self._head += data
            head, separator, rest = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            if not head.startswith(b"HTTP/1.1 200 "):
                self._fail(RuntimeError(head.decode("latin-1")))
                return
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._missing = int(length) - len(rest)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            now = time.perf_counter()
            self._times.append(now - self._begun)
            if now < self._until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._finished.done():
            return
        if exc is None and self._missing == 0:
            self._finished.set_result(None)
        else:
            self._finished.set_exception(exc or ConnectionError("the server closed the connection"))

    def _send(self) -> None:
        self._head, self._missing = b"", None
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        self._begun = time.perf_counter()
        self._transport.write(request)

    def _fail(self, error: Exception) -> None:
        self._finished.set_exception(error)
        self._transport.close()


def _row(contender: Contender, baseline: Contender) -> dict[str, Any]:
    rate = median(contender.rates)
    p50, p99 = np.percentile(contender.latencies_ms, [50, 99])
    return {
        "server": contender.name,
        "requests/s": rate,
        "slowest round": min(contender.rates),
        "fastest round": max(contender.rates),
        "p50 ms": float(p50),
        "p99 ms": float(p99),
        "times baseline": rate / median(baseline.rates),
    }


if __name__ == "__main__":
    main()
