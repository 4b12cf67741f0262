"""The query API with a way to let upstream speak: what tests of answers over HTTP begin from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from projections.recorded import Recorded
from tests.support.given import Message, caused_by, minute
from tests.support.http import Api, api
from tests.support.projecting import Chain
from tests.support.rest_contract import check_body


@dataclass
class School:
    """One installation. Tests that share it take batches and teachers of their own."""

    api: Api
    chain: Chain
    url: str
    teachers: Iterator[str] = field(default_factory=lambda: map("teacher-{:04d}".format, range(8, 10_000)))

    def hear(
        self, batch_id: str, *messages: Message, received: Sequence[int] | None = None
    ) -> list[Recorded]:
        """Let upstream say `messages` of a batch, and event store and read models know; return what was recorded.

        `received` are the minutes at which RAS took them in; one long after the story where not given.
        """
        batch = self.chain.batch(batch_id)
        for number, message in enumerate(messages):
            causation = caused_by(batch.version)
            if received is not None:
                causation = replace(causation, received_at=minute(received[number]))
            message.tell(batch, causation)
        events = batch.collect_events()
        self.chain.record(events)
        return self.chain.project(events)

    def status(self, batch_id: str) -> dict[str, Any]:
        """Return how a batch stands."""
        body = self._answer(f"/internal/v1/batches/{batch_id}/status")
        check_body("batch-status", body)
        return body

    def mine(self, teacher: str, query: str = "") -> dict[str, Any]:
        """Return a page of a teacher's batches."""
        body = self._answer(f"/internal/v1/batches/user/{teacher}{query}")
        check_body("user-batches", body)
        return body

    def analysis(self, essay_id: str) -> dict[str, Any]:
        """Return everything known of an essay."""
        return self._answer(f"/internal/v1/essays/{essay_id}/aggregated-analysis")

    def inbox(self, teacher: str, query: str = "") -> dict[str, Any]:
        """Return a page of a teacher's inbox."""
        return self._answer(f"/internal/v1/teachers/{teacher}/notifications{query}")

    def _answer(self, path: str) -> dict[str, Any]:
        response = self.api.get(path)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


@contextmanager
def school_on(database_url: str, **settings: Any) -> Iterator[School]:
    """An installation on an empty database; `settings` are those of RAS."""
    chain = Chain(database_url)
    with api(database_url, **settings) as answering:
        yield School(answering, chain, database_url)
