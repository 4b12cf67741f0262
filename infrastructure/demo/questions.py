"""Asks the query API about every batch and a few teachers, as upstream's services do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

import httpx

from infrastructure.local.deployment import PLAIN_HTTP

PREFIX: Final = "/internal/v1"
_AT_A_TIME: Final = 8
_TIMEOUT_S: Final = 30.0
_LIMIT: Final = 100
"""The page size asked for: more than one teacher of the demonstration has batches or notifications."""

Answer = dict[str, Any] | str
"""A JSON body, or a sentence that says why there is none."""


class Enquirer:
    """A client of the API of one deployment. Use as an async context manager."""

    def __init__(self, api: str, headers: dict[str, str]) -> None:
        self._client = httpx.AsyncClient(
            base_url=api + PREFIX, headers=headers, timeout=_TIMEOUT_S, verify=PLAIN_HTTP
        )
        self._turn = asyncio.Semaphore(_AT_A_TIME)

    async def __aenter__(self) -> Enquirer:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._client.__aexit__(*raised)

    async def statuses(self, batch_ids: Iterable[str]) -> dict[str, Answer]:
        """Return the status of each batch."""
        return await self._all({batch_id: f"/batches/{batch_id}/status" for batch_id in batch_ids})

    async def listings(self, user_ids: Iterable[str]) -> dict[str, Answer]:
        """Return the batches of each teacher."""
        return await self._all({user_id: f"/batches/user/{user_id}?limit={_LIMIT}" for user_id in user_ids})

    async def inboxes(self, teacher_ids: Iterable[str]) -> dict[str, Answer]:
        """Return the notifications of each teacher."""
        return await self._all(
            {teacher_id: f"/teachers/{teacher_id}/notifications?limit={_LIMIT}" for teacher_id in teacher_ids}
        )

    async def _all(self, paths: dict[str, str]) -> dict[str, Answer]:
        answers = await asyncio.gather(*map(self._get, paths.values()))
        return dict(zip(paths, answers, strict=True))

    async def _get(self, path: str) -> Answer:
        async with self._turn:
            try:
                response = await self._client.get(path)
                body = response.json()
            except (httpx.HTTPError, ValueError) as error:
                return f"GET {PREFIX}{path} failed: {error!r}"
        if response.status_code != httpx.codes.OK or not isinstance(body, dict):
            return f"GET {PREFIX}{path} answers {response.status_code}: {response.text[:200]}"
        return body
