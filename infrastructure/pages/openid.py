"""Signing in at the school's identity provider: OpenID Connect's code flow with PKCE (RFC 7636, RFC 9700).

What ties the answer to the browser that asked, state, nonce and code verifier, is in a signed cookie for ten minutes;
the server keeps nothing, so any API process can finish what another began. authlib speaks to the provider; the ID token
is verified as every other token, with the provider's published keys. authlib is imported when it is used: most
installations have no provider.
"""

from __future__ import annotations

import secrets
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from infrastructure.http.identity import (
    LONGEST_TOKEN,
    Identity,
    InvalidTokenError,
    KeySet,
    TokenVerifier,
    reader,
    roles_in,
    subject_in,
)
from infrastructure.http.sessions import SESSION_S, serializer
from infrastructure.settings import Settings

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

COOKIE: Final = "ras_sign_in"
CALLBACK: Final = "/sign-in/openid/callback"
_WITHIN_S: Final = 600
_TIMEOUT_S: Final = 10.0
_FRESH_S: Final = 3600.0
_LONGEST_ERROR: Final = 80


class ProviderUnavailableError(Exception):
    """The identity provider does not answer, or not as OpenID Connect asks; the text is for the reader."""


@dataclass(frozen=True, slots=True)
class _Provider:
    authorization_endpoint: str
    token_endpoint: str
    verifier: TokenVerifier
    read_at: float


class OpenIdSignIn:
    """The flow with one provider."""

    def __init__(self, settings: Settings, keys: Sequence[str], *, secure: bool) -> None:
        assert settings.oidc_issuer is not None, "the routes are there only with a provider"
        assert settings.oidc_client_id is not None, "the settings want both"
        self._settings = settings
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._serializer: URLSafeTimedSerializer = serializer(keys, "openid")
        self._secure = secure
        self._known: _Provider | None = None

    async def begin(self, request: Request) -> Response:
        """Return the redirect to the provider. Raises ProviderUnavailableError."""
        provider = await self._provider()
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        async with self._client(request) as client:
            url, state = client.create_authorization_url(
                provider.authorization_endpoint, code_verifier=verifier, nonce=nonce
            )
        response = RedirectResponse(url, status_code=303)
        response.set_cookie(
            COOKIE,
            str(self._serializer.dumps({"state": state, "nonce": nonce, "verifier": verifier})),
            max_age=_WITHIN_S,
            httponly=True,
            samesite="lax",  # the provider leads back by a link
            secure=self._secure,
            path="/sign-in",
        )
        return response

    async def finish(self, request: Request) -> Identity:
        """Return who signed in. Raises InvalidTokenError and ProviderUnavailableError."""
        query = request.query_params
        begun = self._begun(request)
        if not secrets.compare_digest(query.get("state", "").encode(), begun["state"].encode()):
            raise InvalidTokenError("This answer belongs to another attempt to sign in. Start again.")
        if query.get("iss", self._issuer) != self._issuer:  # RFC 9207
            raise InvalidTokenError("This answer is of another identity provider. Start again.")
        if "error" in query:
            raise InvalidTokenError(f"The identity provider refused: {query['error'][:_LONGEST_ERROR]}.")
        provider = await self._provider()
        claims = await provider.verifier.claims(await self._id_token(request, provider, begun["verifier"]))
        if claims.get("nonce") != begun["nonce"]:
            raise InvalidTokenError("The identity provider's token belongs to another attempt. Start again.")
        return Identity(
            subject_in(claims, self._settings.oidc_subject_claim),
            roles_in(claims.get(self._settings.jwt_roles_claim)),
            time.time() + SESSION_S,  # an ID token proves the moment of signing in, minutes are usual
        )

    async def _id_token(self, request: Request, provider: _Provider, verifier: str) -> str:
        from authlib.integrations.base_client.errors import OAuthError

        try:
            async with self._client(request) as client:
                token = await client.fetch_token(
                    provider.token_endpoint, code=request.query_params.get("code", ""), code_verifier=verifier
                )
        except OAuthError as error:
            raise InvalidTokenError(
                f"The identity provider refused: {str(error.error)[:_LONGEST_ERROR]}. Start again."
            ) from error
        except (httpx.HTTPError, ValueError) as error:
            raise ProviderUnavailableError(_UNAVAILABLE) from error
        found = token.get("id_token")
        if not isinstance(found, str):
            raise ProviderUnavailableError("The identity provider sent no ID token: is the scope openid set?")
        return found

    def _begun(self, request: Request) -> Mapping[str, str]:
        cookie = request.cookies.get(COOKIE, "")[:LONGEST_TOKEN]
        try:
            begun: Mapping[str, str] = self._serializer.loads(cookie, max_age=_WITHIN_S)
        except BadData as error:
            raise InvalidTokenError(
                "Signing in was not begun in this browser, or took too long. Start again."
            ) from error
        return begun

    def _client(self, request: Request) -> AsyncOAuth2Client:
        with warnings.catch_warnings(action="ignore"):  # it would rather have httpx's successor
            from authlib.integrations.httpx_client import AsyncOAuth2Client

        secret = self._settings.oidc_client_secret
        return AsyncOAuth2Client(
            self._client_id,
            None if secret is None else secret.get_secret_value(),
            scope=self._settings.oidc_scope,
            redirect_uri=self._settings.oidc_redirect_url or str(request.base_url).rstrip("/") + CALLBACK,
            code_challenge_method="S256",
            token_endpoint_auth_method="none" if secret is None else "client_secret_basic",
            timeout=_TIMEOUT_S,
        )

    async def _provider(self) -> _Provider:
        """Return what the provider publishes of itself (OpenID Connect Discovery 1.0)."""
        if self._known is not None and time.monotonic() - self._known.read_at < _FRESH_S:
            return self._known
        try:
            content = await _read(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
            self._known = self._described(content)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            if self._known is None:
                raise ProviderUnavailableError(_UNAVAILABLE) from error
        return self._known

    def _described(self, content: Mapping[str, Any]) -> _Provider:
        if content["issuer"] != self._issuer:
            raise ValueError("the document is of another issuer")  # section 4.3
        if not str(content["jwks_uri"]).startswith(("https://", "http://")):
            raise ValueError("the keys are not at an address")
        verifier = TokenVerifier(
            KeySet(reader(content["jwks_uri"])),
            audience=self._client_id,
            issuer=self._issuer,
            leeway_s=self._settings.jwt_leeway_s,
            roles_claim=self._settings.jwt_roles_claim,
        )
        return _Provider(
            content["authorization_endpoint"], content["token_endpoint"], verifier, time.monotonic()
        )


_UNAVAILABLE: Final = "The identity provider does not answer as it should. Try again shortly."


async def _read(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client:
        answer = await client.get(url)
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content
