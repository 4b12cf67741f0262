"""A small identity provider: OpenID Connect's code flow, which insists on PKCE, on a free port of this machine."""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from infrastructure.roles.sockets import listening
from tests.support.waiting import wait_until

CLIENT_ID: Final = "ras-pages"
CLIENT_SECRET: Final = "a secret of the client / with : signs"
REDIRECT: Final = "http://ras.test/sign-in/openid/callback"


class OpenIdProvider:
    """Signs in whoever fills in the form. `changed` claims go into the next tokens, for tests of what is refused."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.changed: dict[str, Any] = {}
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signing_key = self.key
        self._codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize, methods=["GET", "POST"]),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _configuration(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def _keys(self, _request: Request) -> Response:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return JSONResponse({"keys": [{**public, "kid": "k", "use": "sig", "alg": "RS256"}]})

    async def _authorize(self, request: Request) -> Response:
        query = dict(request.query_params)
        if (query.get("client_id"), query.get("redirect_uri")) != (CLIENT_ID, REDIRECT):
            return HTMLResponse(
                "unknown client", status_code=400
            )  # never led back to a place that is not known
        answer = {"state": query.get("state", ""), "iss": self.issuer}
        if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
            return RedirectResponse(f"{REDIRECT}?{urlencode({**answer, 'error': 'invalid_request'})}", 303)
        if request.method == "GET":
            return HTMLResponse(
                f'<form method="post" action="?{html.escape(urlencode(query))}"><input name="user"></form>'
            )
        form = await request.form()
        if "user" not in form:
            return RedirectResponse(f"{REDIRECT}?{urlencode({**answer, 'error': 'access_denied'})}", 303)
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**query, "user": str(form["user"]), "role": str(form.get("role", ""))}
        return RedirectResponse(f"{REDIRECT}?{urlencode({**answer, 'code': code})}", 303)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        begun = self._codes.pop(str(form.get("code")), None)  # works once
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic" or base64.b64decode(given).decode() != f"{CLIENT_ID}:{CLIENT_SECRET}":
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        verifier = str(form.get("code_verifier", ""))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        if (
            begun is None
            or begun["code_challenge"] != challenge
            or form.get("redirect_uri") != begun["redirect_uri"]
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": begun["user"],
            "iat": time.time(),
            "exp": time.time() + 300,
            "nonce": begun["nonce"],
            "roles": [begun["role"]],
        }
        token = jwt.encode({**claims, **self.changed}, self.signing_key, "RS256", headers={"kid": "k"})
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})


@contextmanager
def openid_provider() -> Iterator[OpenIdProvider]:
    """A provider at work, until the block ends."""
    sockets = listening("127.0.0.1", 0, port_setting="RAS_API_PORT")
    provider = OpenIdProvider(f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
    server = uvicorn.Server(uvicorn.Config(provider.app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    wait_until(lambda: server.started, what="the identity provider is there")
    try:
        yield provider
    finally:
        server.should_exit = True
        thread.join()
