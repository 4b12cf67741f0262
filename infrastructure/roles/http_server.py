"""uvicorn as a part of a role, which owns the process's signals."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence

import structlog
import uvicorn
from prometheus_client.core import REGISTRY

from infrastructure.health import HealthChecks
from infrastructure.http.health import health_app
from infrastructure.role_status import RoleStatus
from infrastructure.roles.guarded_http import ConnectionLimits, guarded_http

_log = structlog.get_logger(__name__)


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server beside other work: the process's signals belong to the role."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def answer(self, sockets: Sequence[socket.socket]) -> None:
        """Answer on bound `sockets` until told to exit, and close them."""
        for each in sockets:
            _log.info("http.listening", address=each.getsockname()[0], port=each.getsockname()[1])
        await self.serve(sockets=list(sockets))


def health_server(statuses: Sequence[RoleStatus]) -> EmbeddedServer:
    """Return the server of health and metrics for a role without an API."""
    checks = HealthChecks()
    for status in statuses:
        checks.register_role(status)
    app = health_app(checks, REGISTRY)
    return EmbeddedServer(
        uvicorn.Config(app, log_config=None, access_log=False, http=guarded_http(ConnectionLimits()))
    )
