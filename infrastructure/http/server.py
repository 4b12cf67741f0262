"""uvicorn as a part of a role, which owns the process's signals."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import uvicorn
from prometheus_client.core import REGISTRY

from infrastructure.health import HealthChecks
from infrastructure.http.health import health_app
from infrastructure.status import RoleStatus


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server beside other work: the process's signals belong to the role."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def health_server(host: str, port: int, statuses: Sequence[RoleStatus]) -> EmbeddedServer:
    """Return the server of health and metrics for a role without an API."""
    checks = HealthChecks()
    for status in statuses:
        checks.register_role(status)
    app = health_app(checks, REGISTRY)
    return EmbeddedServer(uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False))
