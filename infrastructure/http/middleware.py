"""What happens to every request: correlation id, authentication, metrics. Plain ASGI, for speed."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final
from uuid import uuid4

import structlog
from prometheus_client import CollectorRegistry, Histogram
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as HttpScope

from infrastructure.http.binding import Binding
from infrastructure.http.on_behalf import BOUND, HEADER
from infrastructure.http.problems import Problem, problem_response
from infrastructure.http.service_keys import Grant, Scope, ServiceKeysFile

_LONGEST_CORRELATION_ID: Final = 128
_CORRELATION_ID: Final = b"x-correlation-id"
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_OURS: Final = frozenset({_CORRELATION_ID, _NO_SNIFFING[0]})
WAITED_S: Final = "ras.waited_s"
"""In the scope of a request that waited because it asked to: that is no time of answering."""
_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class CorrelationMiddleware:
    """Gives each request a correlation id, its own or a new one, and answers with it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _header(scope, _CORRELATION_ID).decode("latin-1")
        usable = 0 < len(given) <= _LONGEST_CORRELATION_ID and given.isascii() and given.isprintable()
        correlation_id = given if usable else str(uuid4())
        scope["correlation_id"] = correlation_id

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A fault's handler has set them already.
                others = [each for each in message["headers"] if each[0] not in _OURS]
                message["headers"] = [*others, (_CORRELATION_ID, correlation_id.encode()), _NO_SNIFFING]
            await send(message)

        bound = structlog.contextvars.bind_contextvars(correlation_id=correlation_id)
        try:
            await self._app(scope, receive, respond)
        finally:
            structlog.contextvars.reset_contextvars(**bound)


class AuthenticationMiddleware:
    """Lets only known services with the right key at anything under `prefix`, and only operators' at `operations`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        prefix: str,
        api_keys: Sequence[str],
        services: Sequence[str],
        services_setting: str,
        operations: str,
        operators: Sequence[str],
        service_keys: ServiceKeysFile | None,
        binding: Binding | None,
    ) -> None:
        self._app = app
        self._setting = services_setting
        self._prefix = prefix
        self._api_keys = [key.encode() for key in api_keys]
        self._services = [service.encode() for service in (*services, *operators)]
        self._operations = operations
        self._operators = frozenset(service.encode() for service in operators)
        self._service_keys = service_keys
        self._binding = binding

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and scope["path"].startswith(self._prefix):
            try:
                await self._admit(scope)
            except Problem as refusal:
                await problem_response(Request(scope), refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: HttpScope) -> None:
        """Note in `scope` for which teacher a request is. Raises Problem for one that is not admitted."""
        key, service = _header(scope, b"x-internal-api-key"), _header(scope, b"x-service-id")
        own = None if self._service_keys is None else self._service_keys.grant(service, key)
        if own is None and (refusal := self._refusal(key, service)) is not None:
            raise refusal
        grant = self._shared_grant(service) if own is None else own
        if (beyond := self._beyond(scope, grant.scopes)) is not None:
            raise beyond
        bound = None if self._binding is None else await self._binding.of(HTTPConnection(scope))
        if bound is None and grant.names_teacher:
            raise Problem(403, f"This service must say for which teacher it asks: send {HEADER}, or a token.")
        if bound is not None:
            if scope["path"].startswith(self._operations):
                raise Problem(403, f"What is for operators is about all teachers: send it without {HEADER}.")
            scope[BOUND] = bound

    def _shared_grant(self, service: bytes) -> Grant:
        """Return what a service may do with the shared key: read, once services have keys of their own."""
        if self._service_keys is not None:
            return Grant(frozenset({Scope.READ}))
        everybody = {Scope.READ, Scope.ACT_FOR_TEACHERS}
        return Grant(frozenset(everybody | {Scope.OPERATE} if service in self._operators else everybody))

    def _beyond(self, scope: HttpScope, allowed: frozenset[Scope]) -> Problem | None:
        if scope["path"].startswith(self._operations):
            needed = Scope.OPERATE
        else:
            needed = Scope.READ if scope["method"] in _SAFE else Scope.ACT_FOR_TEACHERS
        if needed in allowed:
            return None
        if self._service_keys is not None:
            return Problem(403, f"This needs a key with the scope {needed}: see RAS_SERVICE_KEYS_FILE.")
        return Problem(403, "Only the services in RAS_OPERATOR_SERVICES may do this.")

    def _refusal(self, key: bytes, service: bytes) -> Problem | None:
        if not key or not service:
            detail = "Send the headers X-Internal-API-Key and X-Service-ID."
            return Problem(401, detail, error="Missing authentication", WWW_Authenticate="ApiKey")
        # Every name is compared, so that time tells nothing.
        known = [hmac.compare_digest(service, name) for name in self._services]
        right = [hmac.compare_digest(key, each) for each in self._api_keys]
        if any(right) and any(known):
            return None
        if any(right):  # anyone who has the key may know which setting to change
            return Problem(
                403,
                f"The key is right. {self._setting} does not name the service {service.decode('latin-1')[:100]!r}.",
                error="Invalid credentials",
            )
        return Problem(
            401,
            "The key is not accepted.",
            error="Invalid credentials",
            WWW_Authenticate="ApiKey",
        )


class MetricsMiddleware:
    """Measures requests by route template, so that ids do not become labels."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = Histogram(
            "ras_http_request_seconds",
            "Time to answer.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._found: dict[tuple[str, str, int], Histogram] = {}

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = perf_counter()
        status = 500

        async def respond(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, respond)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            waited_s = scope.get(WAITED_S, 0.0)
            self._of(method, route, status).observe(perf_counter() - begun - waited_s)

    def _of(self, *labels: Any) -> Histogram:
        # Looking a labelled histogram up in the library takes a lock and makes texts of the labels each time.
        found = self._found.get(labels)
        if found is None:
            found = self._found[labels] = self._seconds.labels(*labels)
        return found


_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = frozenset({*_SAFE, "POST"})


def _header(scope: HttpScope, name: bytes) -> bytes:
    """Return the first header of that name (lower case), empty where there is none."""
    return next((value for given, value in scope["headers"] if given == name), b"")
