"""Logs of a whole run with the worst input hold correlation ids, and nothing of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from application.messages import IncomingMessage
from domain.dead_letters import Reason
from tests.support.accounts import wait_until_settled
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.upstream import scenario

_OF_PEOPLE: Final = frozenset(
    {
        "user_id",
        "owner_user_id",
        "teacher_id",
        "original_file_name",
        "class_id",
        "org_id",
        "student_name",
        "text",
    }
)
_ROLES: Final = ("ingest", "publish", "project", "serve")


def personal_values(messages: list[IncomingMessage]) -> set[str]:
    """Return every text in `messages` that stands under a name for something of a person."""

    def within(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, part in value.items():
                if name in _OF_PEOPLE and isinstance(part, str) and len(part) > 3:
                    yield part
                yield from within(part)
        elif isinstance(value, list):
            for part in value:
                yield from within(part)

    found: set[str] = set()
    for message in messages:
        try:
            found |= set(within(json.loads(message.value or b"null")))
        except (ValueError, RecursionError):
            continue
    return found


def test_logs_hold_nothing_of_a_person(ras: Installation, ras_topics: Topics, store: PostgresProbe) -> None:
    messages = [line.message for name in ("malformed", "spellcheck-failures") for line in scenario(name)]
    people = personal_values(messages)
    assert any("." in value for value in people), "no file name is among them"
    roles = [ras.start(name, log_level="debug").wait_until_ready() for name in _ROLES]
    *_, api = roles

    ras_topics.send(messages)
    wait_until_settled(store, ras_topics, ras.transactional_id)
    [user_id] = store.rows("SELECT user_id FROM ras_batch_results.batches WHERE user_id IS NOT NULL LIMIT 1")[
        0
    ]
    assert ras.get(api, f"/batches/user/{user_id}").status_code == 200
    store.execute("ALTER TABLE ras_batch_results.batches RENAME COLUMN registered_at TO gone")
    assert ras.get(api, f"/batches/user/{user_id}").status_code == 503

    logs = "\n".join(role.output for role in roles)
    lines = [json.loads(line) for line in roles[0].output.splitlines()]
    letters = [line for line in lines if line["event"] == "ingest.dead_letter"]
    more = sum(line["more"] for line in lines if line["event"] == "ingest.put_aside")
    assert len(letters) + more == sum(counts.dead_lettered for counts in store.counts().values()) > 0
    assert {line["reason"] for line in letters} <= set(Reason)
    assert all({"topic", "partition", "offset", "correlation_id"} <= line.keys() for line in letters)
    assert "http.database" in logs
    assert "/internal/v1/batches/user/{user_id}" in logs
    assert {value for value in people if value in logs} == set()
    assert user_id not in logs
