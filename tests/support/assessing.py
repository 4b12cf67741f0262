"""The assessment app with a way to let judges decide: what tests of its answers begin from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.applications import Starlette

from domain.aggregate import DomainEvent
from infrastructure.http.assessments.answers import KEPT_BYTES
from infrastructure.roles.assessment_app import assessment_app
from infrastructure.settings import Servers, Settings
from tests.support.http import API_KEY, Api, client_of
from tests.support.projecting import Chain

PREFIX: Final = "/internal/v1/assessments"


@dataclass
class Assessors:
    """One installation. Tests that share it take jobs and batches of their own."""

    app: Starlette
    api: Api
    chain: Chain

    def hear(self, events: Iterable[DomainEvent]) -> int:
        """Let judges and upstream speak; return the position of the last event."""
        return self.chain.project(events)[-1].notification_id

    def detailed(self, job_id: str, query: str = "") -> dict[str, Any]:
        """Return everything about a job."""
        return self._body(f"{PREFIX}/{job_id}/detailed{query}")

    def summary(self, batch_id: str) -> dict[str, Any]:
        """Return the jobs of a batch."""
        return self._body(f"{PREFIX}/{batch_id}/summary")

    def table(self, path: str, **headers: str) -> list[dict[str, str]]:
        """Return the lines of a CSV answer."""
        response = self.api.get(f"{PREFIX}/{path}", **headers)
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].startswith("text/csv")
        return lines_of(response)

    def _body(self, path: str) -> dict[str, Any]:
        response = self.api.get(path)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


def lines_of(response: httpx.Response) -> list[dict[str, str]]:
    """Return the lines of a CSV answer by column."""
    return list(csv.DictReader(io.StringIO(response.content.decode(), newline=""), strict=True))


@contextmanager
def assessors_on(database_url: str, *, kept_bytes: int = KEPT_BYTES) -> Iterator[Assessors]:
    """An installation on a database that is empty, or has been used before without this object."""
    chain = Chain(database_url)
    app = app_on(database_url, kept_bytes=kept_bytes)
    with client_of(app) as api:
        yield Assessors(app, api, chain)


def app_on(database_url: str, *, kept_bytes: int = KEPT_BYTES, **settings: Any) -> Starlette:
    """A new assessment app with these settings."""
    return assessment_app(
        Servers(database_url, ""),
        Settings(_env_file=None, environment="test", **settings),
        SecretStr(API_KEY),
        registry=CollectorRegistry(auto_describe=True),
        kept_bytes=kept_bytes,
    )
