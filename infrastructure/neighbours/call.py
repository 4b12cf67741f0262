"""One call of a neighbour, with as many tries as its deadline allows.

The deadline is one for everything: waiting for a connection, all tries, the pauses between them, and
reading the body, however it drips. Only what is harmless to repeat and likely to pass is tried again: a
connection that was refused or reset (an idle one that the server has closed just now shows as this), and the
statuses that say "not now". A pause that would outlast the deadline ends the call at once instead.

Connections are bounded by our own semaphore while httpx's pool is unbounded. Cancelling a request that
queues in the pool can lose its connection for good (encode/httpcore issue 1093, open in 1.0.9), and a
deadline is a cancellation: nobody may ever queue there.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import httpx
import orjson
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from infrastructure.neighbours.outcomes import CallFailedError, CallResult, Outcome, Reply
from infrastructure.resilience import Backoff

SERVICE_ID: Final = "result_aggregator_service"

_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 0.5
_CONNECTIONS: Final = 50
_KEEP_ALIVE_S: Final = 4.0
"""Less than uvicorn's 5 s, so that mostly we and not the server close an idle connection."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NOT_NOW: Final = frozenset({502, 503, 504})
_LONGEST_ETAG: Final = 255


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What is peculiar to a service that is asked about batches.

    `name` begins sentences. `path` has `{}` for the batch id. `read` takes the id and the JSON of an answer, and
    returns what to keep of it, None where the service does not know the batch; it raises ValueError with what is
    wrong. `unknown` is the sentence for a batch that it does not know, which it answers by a 404 of the media type
    `unknown_type`: any other 404 comes from something else at its address.
    """

    name: str
    path: str
    read: Callable[[str, object], bytes | None]
    unknown: str
    unknown_type: str


class Calls:
    """Asks one service at `url`. `deadline_s` is for a whole call, `max_bytes` for a body."""

    def __init__(
        self,
        neighbour: Neighbour,
        url: str,
        *,
        api_key: str,
        deadline_s: float,
        max_bytes: int,
        connections: int = _CONNECTIONS,
    ) -> None:
        self.neighbour = neighbour
        self._url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._free = asyncio.Semaphore(connections)
        plain = url.startswith("http://")
        self._http = httpx.AsyncClient(
            # The system's certificates take 0.15 s to load: not for a connection that shows none.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True,
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=connections, keepalive_expiry=_KEEP_ALIVE_S
            ),
            timeout=None,  # noqa: S113 - the deadline is over the whole call
            trust_env=False,  # a proxy for the outside world is no way to a neighbour
            headers={
                "X-Internal-API-Key": api_key,
                "X-Service-ID": SERVICE_ID,
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # so that the bound on bytes is one on memory
            },
        )

    async def ask(self, batch_id: str, *, correlation_id: str, kept: Reply | None) -> CallResult:
        """Ask about a batch; `kept` is what an earlier call got. Never raises but when cancelled."""
        headers = {"X-Correlation-ID": correlation_id}
        if kept is not None and kept.etag is not None:
            headers["If-None-Match"] = kept.etag
        _PROPAGATOR.inject(headers)  # nothing unless the request that asks is traced
        request = self._http.build_request("GET", self._address(batch_id), headers=headers)
        backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        ends_at = time.monotonic() + self._deadline_s
        tries = 0
        try:
            async with asyncio.timeout(self._deadline_s), self._free:
                while True:
                    tries += 1
                    try:
                        return await self._try(request, batch_id, kept, tries)
                    except CallFailedError as failed:
                        pause_s = max(backoff.next_delay_s(), failed.after_s)
                        if not failed.again or tries == _TRIES or time.monotonic() + pause_s >= ends_at:
                            return CallResult(failed.outcome, reason=failed.reason, tries=tries)
                        await asyncio.sleep(pause_s)
        except TimeoutError:
            reason = f"{self.neighbour.name} did not answer within {self._deadline_s:g} s."
            return CallResult(Outcome.TIMED_OUT, reason=reason, tries=tries)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def _address(self, batch_id: str) -> str:
        # A segment of dots alone would be taken as a way up the path.
        segment = quote(batch_id, safe="") if batch_id.strip(".") else batch_id.replace(".", "%2E")
        return self._url + self.neighbour.path.format(segment)

    async def _try(self, request: httpx.Request, batch_id: str, kept: Reply | None, tries: int) -> CallResult:
        try:
            response = await self._http.send(request, stream=True)
            try:
                return await self._read(response, batch_id, kept, tries)
            finally:
                await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = f"{self.neighbour.name} cannot be reached."
            raise CallFailedError(Outcome.UNREACHABLE, reason, again=True) from error
        except httpx.DecodingError as error:
            raise self._unreadable("its encoding is broken") from error
        except httpx.HTTPError as error:
            reason = f"{self.neighbour.name} broke the connection off."
            raise CallFailedError(Outcome.BROKEN_OFF, reason, again=True) from error

    async def _read(
        self, response: httpx.Response, batch_id: str, kept: Reply | None, tries: int
    ) -> CallResult:
        if response.status_code == httpx.codes.NOT_MODIFIED and kept is not None:
            return CallResult(Outcome.NOT_MODIFIED, reply=kept, tries=tries)
        if response.status_code != httpx.codes.OK:
            raise self._failure_of(response)
        if _media_type(response) != "application/json":
            raise self._unreadable("it is not JSON")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise self._unreadable("it is compressed, which was not asked for")
        body = await self._body(response)
        try:
            content = self.neighbour.read(batch_id, orjson.loads(body))
        except orjson.JSONDecodeError as error:
            raise self._unreadable("it is not JSON") from error
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        if content is None:
            return CallResult(Outcome.UNKNOWN_BATCH, reason=self.neighbour.unknown, tries=tries)
        return CallResult(Outcome.ANSWERED, reply=Reply(content, _etag(response)), tries=tries)

    async def _body(self, response: httpx.Response) -> bytes:
        promised = response.headers.get("Content-Length", "0")
        body = bytearray()
        if int(promised) <= self._max_bytes:
            async for part in response.aiter_raw():
                body += part
                if len(body) > self._max_bytes:
                    break
            else:
                return bytes(body)
        raise CallFailedError(
            Outcome.TOO_LARGE,
            f"{self.neighbour.name}'s answer is larger than RAS takes ({self._max_bytes:,} bytes).",
        )

    def _failure_of(self, response: httpx.Response) -> CallFailedError:
        status, name = response.status_code, self.neighbour.name
        if status in {401, 403}:
            return CallFailedError(
                Outcome.NOT_ACCEPTED, f"{name} does not accept RAS's key or service id ({status})."
            )
        if status == httpx.codes.NOT_FOUND and _media_type(response) == self.neighbour.unknown_type:
            return CallFailedError(Outcome.UNKNOWN_BATCH, self.neighbour.unknown)
        if status in _NOT_NOW:
            return CallFailedError(
                Outcome.FAILING,
                f"{name} cannot answer just now ({status}).",
                again=True,
                after_s=_retry_after_s(response),
            )
        return CallFailedError(Outcome.FAILING, f"{name} answers with status {status}.")

    def _unreadable(self, fault: str) -> CallFailedError:
        return CallFailedError(Outcome.UNREADABLE, f"{self.neighbour.name}'s answer cannot be used: {fault}.")


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("Content-Type", "")).partition(";")[0].strip().lower()


def _retry_after_s(response: httpx.Response) -> float:
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0.0


def _etag(response: httpx.Response) -> str | None:
    """Return the ETag if it can be sent back; a header may hold bytes that we would not be let send."""
    etag = str(response.headers.get("ETag", ""))
    return etag if 0 < len(etag) <= _LONGEST_ETAG and etag.isascii() and etag.isprintable() else None
