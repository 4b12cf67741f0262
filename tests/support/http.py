"""The query API as its clients meet it, in this process: requests in, responses out, one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.applications import Starlette

from infrastructure.roles.query_api import query_app
from infrastructure.settings import Servers, Settings
from tests.support.rest_contract import check_times

API_KEY: Final = "a-key-for-tests"
GATEWAY: Final = "api-gateway-service"
OPERATORS: Final = "admin-dashboard-service"

HeaderPairs = Sequence[tuple[bytes, bytes]]


class Api:
    """A client of one application; every call returns when the answer is there."""

    def __init__(self, client: httpx.AsyncClient, runner: asyncio.Runner) -> None:
        self._client = client
        self._runner = runner

    def get(self, path: str, *, service: str = GATEWAY, **headers: str) -> httpx.Response:
        """Ask with a key that is accepted; `headers` are named with `_` for `-`."""
        return self.request("GET", path, service=service, **headers)

    def request(self, method: str, path: str, *, service: str = GATEWAY, **headers: str) -> httpx.Response:
        """Send any method with a key that is accepted."""
        accepted = {"X-Internal-API-Key": API_KEY, "X-Service-ID": service}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.send(method, path, accepted | given)
        if answer.is_success and answer.content and answer.headers.get("Content-Type") == "application/json":
            check_times(answer.json())
        return answer

    def send(
        self, method: str, path: str, headers: Mapping[str, str] | HeaderPairs | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request with these headers alone."""
        [answer] = self.send_together([(method, path, headers)], **more)
        return answer

    def send_together(
        self, requests: Sequence[tuple[str, str, Mapping[str, str] | HeaderPairs | None]], **more: Any
    ) -> list[httpx.Response]:
        """Send several requests at once."""

        async def sent() -> list[httpx.Response]:
            return await asyncio.gather(
                *(
                    self._client.request(method, path, headers=headers, **more)
                    for method, path, headers in requests
                )
            )

        return self._runner.run(sent())


@contextmanager
def api(database_url: str, **settings: Any) -> Iterator[Api]:
    """The query API on a database, from its start to its shutdown; `settings` are those of RAS."""
    app = query_app(
        Servers(database_url, ""),
        Settings(_env_file=None, environment="test", **settings),
        SecretStr(API_KEY),
        registry=CollectorRegistry(auto_describe=True),
    )
    with client_of(app) as client:
        yield client


@contextmanager
def client_of(app: Starlette) -> Iterator[Api]:
    """A client of an application, from its start to its shutdown."""
    # A fault of ours is to be answered as in production, not raised into the test.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(_entered(lifespan))
        client = httpx.AsyncClient(transport=transport, base_url="http://ras.test")
        try:
            yield Api(client, runner)
        finally:
            runner.run(client.aclose())
            runner.run(_left(lifespan))


async def _entered(lifespan: Any) -> None:
    await lifespan.__aenter__()


async def _left(lifespan: Any) -> None:
    await lifespan.__aexit__(None, None, None)
