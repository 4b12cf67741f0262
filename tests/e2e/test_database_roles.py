"""Every role and command as a database user of its own with the least privileges, on real servers with real messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from infrastructure.demo.message import UpstreamMessage
from infrastructure.demo.stream import stream
from infrastructure.postgres.grants import INGEST, OPERATE, PROJECT, PUBLISH, SERVE
from tests.support.accounts import check_published_once, wait_until_settled
from tests.support.database_roles import members, owned_database
from tests.support.http import API_KEY, GATEWAY, OPERATORS
from tests.support.postgres_probe import probe
from tests.support.postgres_server import PostgresServerUnderTest
from tests.support.role_process import Installation, RoleProcess
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_UNREADABLE = "huleedu.essay.spellcheck.results.v1"


def test_all_roles_and_commands_work_as_their_own_database_users(
    postgres_server: PostgresServerUnderTest, ras_topics: Topics, tmp_path: Path
) -> None:
    messages = list(stream(20_261_127, 3, class_sizes=(2, 5)))
    broken = [
        UpstreamMessage(_UNREADABLE, None, b"not json %d" % number, messages[0].sent_at)
        for number in range(3)
    ]
    with (
        owned_database(postgres_server.url) as owner,
        probe(owner) as store,
        Installation(owner, ras_topics.bootstrap_servers, tmp_path) as ras,
    ):
        granted = ras.run("init", "--grants")
        assert granted.exit_code == 0, granted.output
        assert "GRANT SELECT, INSERT ON" in granted.output
        with members(owner) as users:
            serve: dict[str, str] = {
                "database_url": users[SERVE],
                "database_write_url": users[OPERATE],
            }
            roles = {
                "ingest": ras.start("ingest", database_url=users[INGEST]),
                "publish": ras.start("publish", database_url=users[PUBLISH]),
                "project": ras.start("project", database_url=users[PROJECT]),
                "serve": ras.start("serve", **serve),
                "serve-assessments": ras.start("serve-assessments", database_url=users[SERVE]),
            }
            for role in roles.values():
                role.wait_until_ready()
            ras_topics.send(messages + broken)
            wait_until_settled(store, ras_topics, ras.transactional_id)
            check_published_once(store, ras_topics, ras.transactional_id)

            # What the API records: a read mark, a settled letter. What it starts: a check.
            [(notification, teacher)] = store.rows(
                "SELECT notification_id, teacher_id FROM ras_teacher_inbox.notifications LIMIT 1"
            )
            read = f"/teachers/{teacher}/notifications/{notification}/read"
            positions = [
                row[0] for row in store.rows("SELECT position FROM ras_dead_letters.letters ORDER BY 1")
            ]
            assert len(positions) == 3
            assert _asked(roles["serve"], "POST", read).status_code < 300
            discard = f"/ops/dead-letters/{positions[0]}/discard"
            body = {"why": "sent by a test"}
            answer = _asked(roles["serve"], "POST", discard, service=OPERATORS, json=body)
            assert answer.status_code == 204, answer.text
            check = _asked(roles["serve"], "GET", "/ops/check", service=OPERATORS)
            assert (check.status_code, check.json()["consistent"]) == (200, True), check.text

            # Without the second user it refuses, and reads on.
            alone = ras.start("serve", **(serve | {"database_write_url": ""})).wait_until_ready()
            refused = _asked(
                alone, "POST", f"/ops/dead-letters/{positions[1]}/discard", service=OPERATORS, json=body
            )
            assert refused.status_code == 503, refused.text
            assert "RAS_DATABASE_WRITE_URL" in refused.json()["detail"]
            assert _asked(alone, "GET", f"/batches/user/{teacher}").status_code == 200

            operator = {"database_url": users[OPERATE]}
            [(batch,)] = store.rows("SELECT batch_id FROM ras_batch_results.batches LIMIT 1")
            for command in (
                ("status",),
                ("check",),
                ("check", "--incremental"),
                ("outbox",),
                ("history", batch),
                ("explain", batch),
                ("dead-letters", "list"),
                ("dead-letters", "show", str(positions[1])),
                ("dead-letters", "retry", str(positions[1]), "--yes"),
                ("dead-letters", "discard", str(positions[2]), "--yes", "--why", "sent by a test"),
                ("parked", "list"),
                ("parked", "drain", "--yes"),
            ):
                ended = ras.run(*command, **operator)
                assert "has not the right" not in ended.output, (command, ended.output)
                assert "lacks a privilege" not in ended.output, (command, ended.output)
                assert "Traceback" not in ended.output, (command, ended.output)
                assert ended.exit_code == 0 or command[:2] in {
                    ("dead-letters", "retry"),
                    ("parked", "drain"),
                }, (
                    command,
                    ended.output,
                )

            # A rebuild makes tables, as the owner; the roles go on with what it has made.
            rebuilt = ras.run("rebuild", "batch_results")
            assert rebuilt.exit_code == 0, rebuilt.output
            assert ras.run("init", "--upgrade").exit_code == 0
            ras_topics.send(list(stream(20_261_128, 2, class_sizes=(2, 3))))
            wait_until_settled(store, ras_topics, ras.transactional_id)
            wait_until(
                lambda: _asked(roles["serve"], "GET", f"/batches/{batch}/status").status_code == 200,
                what="the API reads the new side",
            )
            for name, role in roles.items():
                assert role.health == "ok", (name, role.readiness())
                assert (name, role.terminate()) == (name, 0)
            again = ras.start("publish", "--resume-at", "1", database_url=users[PUBLISH])
            again.wait_until_ready()
            assert again.terminate() == 0
            alone.terminate()


def _asked(
    role: RoleProcess, method: str, path: str, *, service: str = GATEWAY, **more: Any
) -> httpx.Response:
    headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": service}
    return httpx.request(method, f"{role.url}/internal/v1{path}", headers=headers, timeout=60, **more)
