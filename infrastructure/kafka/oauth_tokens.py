"""Tokens for OAUTHBEARER: client credentials are exchanged at a token endpoint (RFC 6749, section 4.4)."""

from __future__ import annotations

import asyncio
import ssl
from time import monotonic
from typing import Final

import httpx
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import SaslAuthenticationFailed

_TIMEOUT_S: Final = 10.0
_RENEWED_AFTER: Final = 0.8
"""A token is renewed after this part of its lifetime."""
_LIFETIME_S: Final = 60.0
"""Assumed where the endpoint names no lifetime."""


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka ships no types
    """Returns a valid token; asks the endpoint only when there is none or the last one is about to expire."""

    def __init__(
        self, endpoint: str, client_id: str, secret: str, scope: str | None, context: ssl.SSLContext
    ) -> None:
        self._endpoint = endpoint
        self._client = (client_id, secret)
        self._scope = scope
        self._context = context
        self._token = ""
        self._valid_until = 0.0
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """Return a token. Raises SaslAuthenticationFailed with a sentence when the endpoint issues none."""
        async with self._asking:
            if monotonic() >= self._valid_until:
                await self._renew()
            return self._token

    async def _renew(self) -> None:
        form = {"grant_type": "client_credentials"}
        if self._scope is not None:
            form["scope"] = self._scope
        asked_at = monotonic()
        try:
            async with httpx.AsyncClient(verify=self._context, timeout=_TIMEOUT_S) as client:
                answer = await client.post(self._endpoint, data=form, auth=self._client)
            answer.raise_for_status()
            issued = answer.json()
            self._token = str(issued["access_token"])
            lifetime = float(issued.get("expires_in", _LIFETIME_S))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError) as error:
            status = f"HTTP {error.response.status_code}" if isinstance(error, httpx.HTTPStatusError) else ""
            raise SaslAuthenticationFailed(
                f"the token endpoint issued no token ({status or type(error).__name__}). Check "
                "RAS_KAFKA_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL, _CLIENT_ID and _CLIENT_SECRET"
            ) from error
        self._valid_until = asked_at + lifetime * _RENEWED_AFTER
