"""The query API as operators run it: one process, its database going away and coming back, SIGTERM."""

from __future__ import annotations

import signal
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.processes import GuardedProcess, free_port
from tests.support.given import registered
from tests.support.http import API_KEY, GATEWAY
from tests.support.rest_contract import check_body, check_error
from tests.support.school import school_on
from tests.support.waiting import wait_until

_PLAIN_HTTP = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the system's certificates take 0.15 s to load


class Served:
    """`ras serve` in a process of its own."""

    def __init__(self, database_url: str, log: Path) -> None:
        self.log = log
        port = free_port()
        self.process = GuardedProcess(
            [sys.executable, "-m", "infrastructure.cli", "serve"],
            log=log,
            stop_signal=signal.SIGTERM,
            grace_s=20,
            environment={
                "RAS_DATABASE_URL": database_url,
                "RAS_INTERNAL_API_KEY": API_KEY,
                "RAS_API_PORT": str(port),
                "RAS_LOG_FORMAT": "json",
            },
        )
        headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": GATEWAY}
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=20, verify=_PLAIN_HTTP
        )

    def answers(self, path: str, status: int) -> bool:
        """Whether it answers `path` with `status` now."""
        try:
            return self.client.get(path).status_code == status
        except httpx.TransportError:
            return False

    def wait_for(self, path: str, status: int) -> httpx.Response:
        """Return the first answer with `status`."""
        wait_until(
            lambda: self.process.exit_code is not None or self.answers(path, status),
            what=f"{path} answers {status}",
            deadline_s=40,
            state=lambda: self.log.read_text(encoding="utf-8"),
        )
        return self.client.get(path)


@contextmanager
def served(database_url: str, folder: Path) -> Iterator[Served]:
    """`ras serve` on a database for the time of a block."""
    running = Served(database_url, folder / "serve.log")
    try:
        yield running
    finally:
        running.client.close()
        running.process.stop()


def test_serve_answers_waits_out_its_database_and_ends_with_code_0(tmp_path: Path) -> None:
    status = "/internal/v1/batches/b1/status"
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        url = server.create_database("served")
        with school_on(url) as school:
            school.hear("b1", registered("e1"))
        with served(url, tmp_path) as api:
            first = api.wait_for(status, 200)
            check_body("batch-status", first.json())
            assert api.client.get("/healthz").json()["status"] == "healthy"

            server.stop()
            away = api.wait_for(status, 503)
            check_error(away.json())
            assert int(away.headers["Retry-After"]) > 0
            assert away.headers["Content-Type"] == "application/problem+json"
            unhealthy = api.client.get("/healthz")
            check_body("healthz", unhealthy.json())
            assert (unhealthy.status_code, unhealthy.json()["status"]) == (503, "unhealthy")
            assert api.client.get("/healthz/live").status_code == 200

            server.start()
            back = api.wait_for(status, 200)
            assert (back.content, back.headers["ETag"]) == (first.content, first.headers["ETag"])
            assert api.wait_for("/healthz", 200).json()["status"] == "healthy"

            api.process.stop()
            assert api.process.exit_code == 0


def test_serve_starts_although_its_database_is_away(tmp_path: Path) -> None:
    with served(f"postgresql://nobody@127.0.0.1:{free_port()}/none", tmp_path) as api:
        assert api.wait_for("/healthz/live", 200).status_code == 200
        assert api.client.get("/healthz/ready").status_code == 503
        assert api.client.get("/internal/v1/batches/b1/status").status_code == 503
        api.process.stop()
        assert api.process.exit_code == 0
