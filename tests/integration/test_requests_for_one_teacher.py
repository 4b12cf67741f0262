"""`ras serve` with keys of services alone: who is let in, for which teacher, and while the file changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from infrastructure.http.assessments.routes import assessments_document
from infrastructure.http.query.app import openapi_document
from tests.support.assessing import assessors_on
from tests.support.given import registered, slot_assigned
from tests.support.judging import Job, round_robin
from tests.support.people import SECRET, token_for
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import API_KEY, Installation, RoleProcess
from tests.support.school import school_on
from tests.support.waiting import wait_until

MINE, THEIRS = "teacher-0007", "teacher-0008"
ESSAYS = ["e1", "e2", "e3", "e4"]
NAMES = {
    MINE: {"batch_id": "mine", "essay_id": "e1", "job_id": "job-mine", "user_id": MINE, "teacher_id": MINE},
    THEIRS: {
        "batch_id": "theirs",
        "essay_id": "f1",
        "job_id": "job-theirs",
        "user_id": THEIRS,
        "teacher_id": THEIRS,
    },
}


def service(name: str, key: str, *scopes: str, more: str = "") -> str:
    """Return a service's part of the file."""
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    return f'[{name}]\nkeys = ["sha256:{sha256(key.encode()).hexdigest()}"]\nscopes = [{listed}]\n{more}\n'


KEYS = service("portal", "portal-key", "read", "operate") + service(
    "app", "app-key", "read", more='on_behalf_of = "required"'
)


@dataclass
class Served:
    """The two APIs, and the file that lets services in."""

    query: RoleProcess
    assessments: RoleProcess
    file: Path
    client: httpx.Client

    def get(
        self, path: str, *, name: str = "portal", key: str = "portal-key", **headers: str
    ) -> httpx.Response:
        """Ask the API that has the address."""
        api = self.assessments if path.startswith("/internal/v1/assessments/") else self.query
        given = {each.replace("_", "-"): value for each, value in headers.items()}
        return self.client.get(
            f"{api.url}{path}", headers={"X-Internal-API-Key": key, "X-Service-ID": name} | given
        )


@contextmanager
def running(url: str, folder: Path) -> Iterator[Served]:
    """Both APIs on a database with two teachers' batches, with keys of services alone."""
    with school_on(url) as school:
        for teacher, essays in ((MINE, ESSAYS), (THEIRS, ["f1", "f2"])):
            batch_id = NAMES[teacher]["batch_id"]
            school.hear(
                batch_id, registered(*essays, user_id=teacher), *(slot_assigned(each) for each in essays)
            )
        school.hear("shared", registered("f2", user_id=MINE), slot_assigned("f2"))
    with assessors_on(url) as assessors:
        for teacher in (MINE, THEIRS):
            job = Job(NAMES[teacher]["job_id"], NAMES[teacher]["batch_id"])
            assessors.hear([*round_robin(job, ESSAYS, ["judge-1"]), job.ends(*ESSAYS)])
    file = folder / "keys.toml"
    file.write_text(KEYS)
    settings = {"internal_api_key": "", "service_keys_file": str(file), "jwt_secret": SECRET}
    with Installation(url, "127.0.0.1:1", folder) as ras, httpx.Client(timeout=60) as client:
        query, assessments = (ras.start(role, **settings) for role in ("serve", "serve-assessments"))
        yield Served(query.wait_until_ready(), assessments.wait_until_ready(), file, client)


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One installation for the module."""
    with (
        fresh_database(postgres_server.url) as url,
        running(url, tmp_path_factory.mktemp("one-teacher")) as found,
    ):
        yield found


def about_a_teacher() -> list[str]:
    """Return every address that is read with an id of a teacher, or of something that is a teacher's."""
    documents: list[dict[str, Any]] = [openapi_document(), assessments_document()]
    return [
        path
        for document in documents
        for path, item in document["paths"].items()
        if "get" in item and any(f"{{{name}}}" in path for name in NAMES[MINE])
    ]


def test_without_a_shared_key_only_services_with_keys_are_let_in(served: Served) -> None:
    path = f"/internal/v1/batches/user/{MINE}"

    assert served.get(path).status_code == 200
    assert served.get(path, key=API_KEY).status_code == 401
    assert served.get(path, key="").status_code == 401


@pytest.mark.parametrize("path", about_a_teacher())
def test_a_request_for_a_teacher_reaches_what_is_theirs_and_nothing_else(served: Served, path: str) -> None:
    mine, theirs = (path.format(**NAMES[teacher]) for teacher in (MINE, THEIRS))
    token = f"Bearer {token_for(MINE)}"
    unbound = served.get(mine)

    assert unbound.status_code == 200
    for headers in ({"X_On_Behalf_Of": MINE}, {"Authorization": token}):
        assert served.get(mine, **headers).content == unbound.content
        refused = served.get(theirs, **headers)
        assert refused.status_code in {403, 404}
        assert refused.headers["Content-Type"] == "application/problem+json"
    assert served.get(theirs).status_code == 200


def test_an_essay_that_is_in_two_teachers_batches_is_shown_to_neither_by_its_id_alone(served: Served) -> None:
    for teacher in (MINE, THEIRS):
        path = "/internal/v1/essays/f2/aggregated-analysis"
        assert served.get(path, X_On_Behalf_Of=teacher).status_code == 404


@pytest.mark.parametrize("path", ["/internal/v1/ops/dead-letters", "/internal/v1/ops/outbox"])
def test_what_is_for_operators_is_not_for_one_teacher(served: Served, path: str) -> None:
    assert served.get(path, X_On_Behalf_Of=MINE).status_code == 403
    assert served.get(path, Authorization=f"Bearer {token_for(MINE)}").status_code == 403
    if path.endswith("dead-letters"):
        assert (
            served.get(path, Authorization=f"Bearer {token_for('boss', roles=['operator'])}").status_code
            == 200
        )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_On_Behalf_Of": ""}, 400),
        ({"X_On_Behalf_Of": "x" * 300}, 400),
        ({"X_On_Behalf_Of": MINE, "Authorization": f"Bearer {token_for(MINE)}"}, 200),
        ({"X_On_Behalf_Of": THEIRS, "Authorization": f"Bearer {token_for(MINE)}"}, 403),
        ({"X_On_Behalf_Of": MINE, "Authorization": "Bearer forged"}, 401),
        ({"Authorization": f"Bearer {token_for(MINE, exp=1)}"}, 401),
        ({"Authorization": "Basic dGVhY2hlcg=="}, 200),
    ],
)
def test_a_header_or_token_that_proves_nothing_is_refused(
    served: Served, headers: dict[str, str], status: int
) -> None:
    assert served.get(f"/internal/v1/batches/user/{MINE}", **headers).status_code == status


def test_a_service_may_be_obliged_to_say_for_whom_it_asks(served: Served) -> None:
    path = f"/internal/v1/batches/user/{MINE}"

    refused = served.get(path, name="app", key="app-key")
    assert (refused.status_code, "X-On-Behalf-Of" in refused.json()["detail"]) == (403, True)
    assert served.get(path, name="app", key="app-key", X_On_Behalf_Of=MINE).status_code == 200


def test_a_changed_file_is_read_without_a_restart(served: Served) -> None:
    path = f"/internal/v1/batches/user/{MINE}"

    def status(key: str) -> int:
        return served.get(path, name="late", key=key).status_code

    assert status("late-key") == 401
    served.file.write_text(KEYS + service("late", "late-key", "read"))
    wait_until(lambda: status("late-key") == 200, what="the new key is accepted", deadline_s=30)

    served.file.write_text("[late")
    wait_until(
        lambda: status("late-key") == 200 and served.query.health == "degraded",
        what="the broken file is reported",
        deadline_s=30,
    )
    assert "keys that were read before stay in force" in str(served.query.readiness())

    served.file.write_text(KEYS)
    wait_until(lambda: status("late-key") == 401, what="the key is forgotten", deadline_s=30)
    served.query.wait_for_health("ok")
