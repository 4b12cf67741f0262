"""uvicorn as a part of a role, which owns the process's signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Final

import structlog
import uvicorn
from prometheus_client.core import REGISTRY
from starlette.applications import Starlette
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from infrastructure.health import HealthChecks
from infrastructure.http.health import health_app
from infrastructure.role_status import RoleStatus
from infrastructure.roles.guarded_http import ConnectionLimits, guarded_http
from infrastructure.roles.open_files import connections_that_fit
from infrastructure.settings import Settings

_log = structlog.get_logger(__name__)

_LARGEST_FRAME: Final = 64 * 1024
"""Clients of the live stream say little."""
_HEALTH_CONNECTIONS: Final = 200
_FAREWELL_SHARE: Final = 0.25
"""Of the grace period: for the application to take leave of its WebSockets."""
_LOOK_AGAIN_S: Final = 0.02


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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the application close its WebSockets, then stop as uvicorn does.

        uvicorn closes each WebSocket at once. With thousands of them, the application's last message would be too late.
        """
        for server in self.servers:
            server.close()
        grace_s = self.config.timeout_graceful_shutdown or 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_SHARE * grace_s):
                # uvicorn has no event for it, and waits for its own connections in the same way.
                while not self.force_exit and any(  # noqa: ASYNC110
                    map(_is_open_socket, self.server_state.connections)
                ):
                    await asyncio.sleep(_LOOK_AGAIN_S)
        await super().shutdown(sockets)


def _is_open_socket(connection: object) -> bool:
    return isinstance(connection, WebSocketsSansIOProtocol) and not connection.close_sent


def api_server(app: Starlette, settings: Settings) -> EmbeddedServer:
    """Return the server of an application, with as many connections as the settings and the system allow."""
    return _server(app, settings, connections_that_fit(settings.http_max_connections), lifespan=True)


def health_server(statuses: Sequence[RoleStatus], settings: Settings) -> EmbeddedServer:
    """Return the server of health and metrics for a role without an API."""
    checks = HealthChecks()
    for status in statuses:
        checks.register_role(status)
    app = health_app(checks, REGISTRY)
    return _server(app, settings, _HEALTH_CONNECTIONS, lifespan=False)


def _server(app: Starlette, settings: Settings, connections: int, *, lifespan: bool) -> EmbeddedServer:
    return EmbeddedServer(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on" if lifespan else "off",
            http=guarded_http(ConnectionLimits(settings.http_deadline_s, connections)),
            timeout_keep_alive=settings.http_keep_alive_s,
            # The guarded protocol knows this one's handshake.
            ws="websockets-sansio",
            # Compression costs 64 KiB for each connection; a dead peer is found by its missing pong, within two heartbeats.
            ws_per_message_deflate=False,
            ws_max_size=_LARGEST_FRAME,
            ws_ping_interval=settings.stream_heartbeat_s,
            ws_ping_timeout=settings.stream_heartbeat_s,
            timeout_graceful_shutdown=int(settings.shutdown_timeout_s),
        )
    )
