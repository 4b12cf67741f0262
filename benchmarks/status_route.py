"""Status route: `GET …/batches/{id}/status` of a 30-essay batch, against a route that does next to nothing.

    python -m benchmarks.status_route [--seconds 2] [--rounds 9]

The baseline is a bare Starlette route that selects one row by its primary key, with the same driver and
pool, and returns the same bytes as they lie in it: no key to compare, no ETag, nothing derived. Each runs
as one uvicorn worker in a process of its own; the load comes from this process over kept connections.
They take turns, and the medians of their rounds are compared, so that a busy machine hits all of them.

The batches do not change meanwhile, as those that a front end polls mostly do not, so the route sends
answers that it has kept. The last row is the same route without that: every answer is worked out again.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path

import psycopg
import uvicorn
import uvloop
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.report import report
from infrastructure.demo.bulk import bulk
from infrastructure.http import response_cache
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import GuardedProcess, free_port
from infrastructure.queries.read_pool import ReadConnections
from infrastructure.roles.query_api import query_app
from infrastructure.settings import Servers, Settings
from tests.support.deciding import batches_among
from tests.support.projecting import Chain

TARGET = 0.70
_BATCHES, _ESSAYS, _CONNECTIONS = 100, 30, 8
_KEY, _SERVICE = "a-key-for-benchmarks", "api-gateway-service"
_STATUS = "/internal/v1/batches/{}/status"
_ROUTES = {"bare select": "/bare/{}", "status, unchanged": _STATUS, "status, worked out again": _STATUS}


def main() -> None:
    """Measure and report, or with `--serve` be one of the servers."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--seconds", type=float, default=2, help="length of a round")
    arguments.add_argument("--rounds", type=int, default=9, help="rounds of each server")
    arguments.add_argument(
        "--serve", nargs=3, metavar=("WHAT", "DATABASE_URL", "PORT"), help=argparse.SUPPRESS
    )
    given = arguments.parse_args()
    if given.serve:
        what, database_url, port = given.serve
        app = _bare_app(database_url) if what == "bare" else _forgetful_app(database_url)
        uvicorn.run(app, port=int(port), loop="uvloop", access_log=False, log_level="warning")
        return
    rates, latencies, size = _measured(given.rounds, given.seconds)
    bare = statistics.median(rates["bare select"])
    report(
        "status_route",
        f"GET …/status, {_ESSAYS} essays, {size:,} bytes, {_CONNECTIONS} connections, one worker each",
        [
            {
                "route": name,
                "requests/s": statistics.median(rates[name]),
                "p50 ms": statistics.median(latencies[name]) * 1000,
                "p99 ms": statistics.quantiles(latencies[name], n=100)[98] * 1000,
                "of the baseline": statistics.median(rates[name]) / bare,
            }
            for name in _ROUTES
        ],
        notes=[f"Target: {TARGET:.0%} of the bare route. Medians of {given.rounds} rounds, taken in turns."],
    )


def _bare_app(database_url: str) -> Starlette:
    reads = ReadConnections(database_url, size=20)

    async def bare(request: Request) -> Response:
        [row] = await reads.rows(
            "SELECT body FROM public.bare WHERE batch_id = %(batch_id)s", request.path_params
        )
        return Response(row["body"], media_type="application/json")

    return Starlette(routes=[Route("/bare/{batch_id}", bare)])


def _forgetful_app(database_url: str) -> Starlette:
    """The query API, which keeps no answer here."""
    response_cache.KeptAnswers.keep = lambda *_: None  # type: ignore[method-assign]
    return query_app(Servers(database_url, ""), Settings(), SecretStr(_KEY))


def _measured(rounds: int, seconds: float) -> tuple[dict[str, list[float]], dict[str, list[float]], int]:
    rates: dict[str, list[float]] = {name: [] for name in _ROUTES}
    latencies: dict[str, list[float]] = {name: [] for name in _ROUTES}
    with _servers() as (ports, requests, size):
        for number in range(rounds + 1):
            for name, port in ports.items():
                taken = uvloop.run(_load(port, requests[name], seconds if number else 1))
                if number:  # the first round warms up caches, prepared statements and connections
                    rates[name].append(len(taken) / seconds)
                    latencies[name] += taken
    return rates, latencies, size


@contextmanager
def _servers() -> Iterator[tuple[Mapping[str, int], Mapping[str, Sequence[bytes]], int]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ras-bench-")))
        url = stack.enter_context(EmbeddedPostgres(folder / "postgres")).create_database("status_route")
        chain = Chain(url)
        chain.take(bulk(1, _BATCHES, _ESSAYS, open_batches=20))
        batch_ids = list(batches_among(chain.aggregates))
        ports = {name: free_port() for name in _ROUTES}
        requests = {
            name: [_request(path.format(batch_id)) for batch_id in batch_ids]
            for name, path in _ROUTES.items()
        }
        environment = {
            "RAS_DATABASE_URL": url,
            "RAS_INTERNAL_API_KEY": _KEY,
            "RAS_API_PORT": str(ports["status, unchanged"]),
        }
        stack.enter_context(_server(folder / "ras.log", ["-m", "infrastructure.cli", "serve"], environment))
        bodies = uvloop.run(_bodies(ports["status, unchanged"], requests["status, unchanged"]))
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE public.bare (batch_id text PRIMARY KEY, body bytea NOT NULL)")
            for batch_id, body in zip(batch_ids, bodies, strict=True):
                connection.execute("INSERT INTO public.bare VALUES (%s, %s)", (batch_id, body))
            connection.commit()
            connection.autocommit = True
            connection.execute("VACUUM ANALYZE")
        for what, name in (("bare", "bare select"), ("forgetful", "status, worked out again")):
            arguments = ["-m", "benchmarks.status_route", "--serve", what, url, str(ports[name])]
            stack.enter_context(_server(folder / f"{what}.log", arguments, {}))
            same = uvloop.run(_bodies(ports[name], requests[name]))
            assert same == bodies, "the routes must answer alike"
        yield ports, requests, len(bodies[0])


@contextmanager
def _server(log: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    process = GuardedProcess(
        [sys.executable, *arguments], log=log, stop_signal=signal.SIGTERM, grace_s=10, environment=environment
    )
    try:
        yield
    finally:
        process.stop()


def _request(path: str) -> bytes:
    headers = {"Host": "ras.bench", "X-Internal-API-Key": _KEY, "X-Service-ID": _SERVICE}
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _bodies(port: int, requests: Sequence[bytes]) -> list[bytes]:
    reader, writer = await _connected(port)
    bodies = [await _answer(reader, writer, request) for request in requests]
    writer.close()
    return bodies


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


async def _load(port: int, requests: Sequence[bytes], seconds: float) -> list[float]:
    """Ask over all connections, each as soon as it has its answer; return how long each answer took."""
    taken: list[float] = []
    connections = [await _connected(port) for _ in range(_CONNECTIONS)]
    end = time.perf_counter() + seconds

    async def ask(place: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = cycle([*requests[place * len(requests) // _CONNECTIONS :], *requests])
        now = time.perf_counter()
        while now < end:
            await _answer(reader, writer, next(asked))
            begun, now = now, time.perf_counter()
            taken.append(now - begun)
        writer.close()

    async with asyncio.TaskGroup() as group:
        for place, connection in enumerate(connections):
            group.create_task(ask(place, *connection))
    return taken


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"unexpected answer: {head!r}")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(int(length.split(b":")[1]))


if __name__ == "__main__":
    main()
