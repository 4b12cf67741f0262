"""The pages' application in this process, somebody with every role, and every route that a browser can ask for."""

from __future__ import annotations

import re
from typing import Any, Final

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from infrastructure.http.identity import EXAMINER, OPERATOR, Identity, roles_in
from infrastructure.http.sessions import COOKIE, session_cookie
from infrastructure.roles.query_api import query_app
from infrastructure.settings import Servers, Settings
from tests.support.people import SESSION_KEY

NO_DATABASE: Final = "postgresql://127.0.0.1:1/none"
EVERYBODY: Final = Identity("teacher-0007", roles_in([OPERATOR, EXAMINER]), 2**33)


def pages_on(url: str, **settings: Any) -> Starlette:
    """Return the application on a database."""
    chosen = {"session_keys": SESSION_KEY, **settings}
    made = Settings(_env_file=None, environment="test", **chosen)
    return query_app(Servers(url, ""), made, None, registry=CollectorRegistry())


def signed_in_by(*keys: str) -> dict[str, str]:
    """Return the cookie of `EVERYBODY`."""
    return {"Cookie": f"{COOKIE}={session_cookie(keys or (SESSION_KEY,), EVERYBODY)}"}


_FOR_PROGRAMS: Final = {"/openapi.json", "/docs", "/metrics", "/healthz", "/healthz/live", "/healthz/ready"}
PAGES: Final = sorted(
    {
        re.sub(r"\{\w+(:int)?\}", "1", route.path)
        for route in pages_on(NO_DATABASE, oidc_issuer="https://id.example", oidc_client_id="ras").routes
        if isinstance(route, Route) and not route.path.startswith(("/internal/", "/v1/"))
    }
    - _FOR_PROGRAMS
)
"""The address of every page, from the table of routes: a new one is among them at once."""
