"""`ras init --grants`: what each database role must not do is tried on a real PostgreSQL, and refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import psycopg
import pytest

from application import topics
from infrastructure.eventstore.event_registry import event_codec
from infrastructure.postgres.grants import (
    INGEST,
    OPERATE,
    PROJECT,
    PUBLISH,
    ROLES,
    SERVE,
    GrantsError,
    grant_roles,
)
from infrastructure.postgres.schema import initialise
from infrastructure.rebuild.rebuild import Rebuilding
from projections.catalogue import PROJECTIONS
from tests.support.database_roles import members, owned_database
from tests.support.ingesting import Ingestion, dead_letter, intakes_of, messages_of, small_batch
from tests.support.postgres_probe import opened_store
from tests.support.postgres_server import PostgresServerUnderTest

_EVENT = (
    "INSERT INTO ras.stored_events (originator_id, originator_version, topic, state)"
    " VALUES ('batch-forged', 1, 'ras.batch.results-ready.v1', '{}')"
)
_COPY = "COPY ras.stored_events (originator_id, originator_version, topic, state) FROM STDIN"
_HISTORY = (
    "UPDATE ras.stored_events SET state = '{}'",
    "DELETE FROM ras.stored_events",
    "TRUNCATE ras.stored_events",
    "SELECT setval('ras.stored_events_notification_id_seq', 1)",
    "ALTER TABLE ras.stored_events ADD COLUMN more text",
    "DROP TABLE ras.stored_events",
)
_READ_MODELS = (
    "UPDATE ras_batch_results.batches SET user_id = 'teacher-0008'",
    "DELETE FROM ras_teacher_inbox.notifications",
    "INSERT INTO ras_dead_letters.letters DEFAULT VALUES",
)
_BOOKS = (
    "UPDATE ras.intake_counts SET taken_in = 0",
    "UPDATE ras.read_models SET version = 1",
    "DELETE FROM ras.rebuilds",
    "UPDATE ras.schema_version SET version_num = '0001'",
)
_ANYBODY = (
    "CREATE TABLE ras.mine (id int)",
    "CREATE SCHEMA ras_mine",
    "GRANT ras_ingest TO CURRENT_USER",
    "SELECT pg_read_file('PG_VERSION')",
    "ALTER TABLE ras.positions DISABLE ROW LEVEL SECURITY",
)
_FORBIDDEN: dict[str, tuple[str, ...]] = {
    INGEST: (*_HISTORY, *_READ_MODELS, *_BOOKS[1:], *_ANYBODY, "SELECT FROM ras_batch_results.batches"),
    PUBLISH: (
        _EVENT,
        *_HISTORY,
        *_READ_MODELS,
        *_BOOKS,
        *_ANYBODY,
        "SELECT FROM ras_teacher_inbox.notifications",
    ),
    PROJECT: (_EVENT, *_HISTORY, *_BOOKS, *_ANYBODY, "TRUNCATE ras_batch_results.batches"),
    SERVE: (
        *(_EVENT, *_HISTORY, *_READ_MODELS, *_BOOKS, *_ANYBODY),
        "INSERT INTO ras.positions (name, position) VALUES ('projection/mine', 1)",
        "UPDATE ras.positions SET position = 0",
        "DELETE FROM ras.role_status",
    ),
    OPERATE: (*_HISTORY, *_READ_MODELS, *_BOOKS, *_ANYBODY, "UPDATE ras.positions SET position = 0"),
}
_POSITIONS = {
    INGEST: {"intake/huleedu.topic/0", "ingester/one"},
    PUBLISH: {"publisher/ras-publisher", "not-sent/topic"},
    PROJECT: {"projection/batch_results"},
}


@pytest.fixture(scope="module")
def owner(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """The URL, for its owner, of a database with events and read models, whose roles are granted."""
    with owned_database(postgres_server.url) as url:
        initialise(url)
        with opened_store(url) as store:
            Ingestion(store).insist(
                [*intakes_of(messages_of(small_batch())), dead_letter(topics.SPELLCHECK_RESULTS)]
            )
        Rebuilding(url, event_codec()).rebuild(PROJECTIONS)
        grant_roles(url)
        yield url


@pytest.fixture(scope="module")
def users(owner: str) -> Iterator[Mapping[str, str]]:
    with members(owner) as urls:
        yield urls


# These two come first: the roles are of the whole server. On one of the tests' own they are not there yet.
def test_the_statements_that_are_printed_are_all_that_an_administrator_needs(
    postgres_server: PostgresServerUnderTest,
) -> None:
    with owned_database(postgres_server.url) as url:
        initialise(url)
        with psycopg.connect(url, autocommit=True) as connection:
            there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        printed = grant_roles(url)
        with psycopg.connect(url, autocommit=True) as connection:
            granted = _grants(connection)
            for role in ROLES:
                connection.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA ras FROM {role}".encode())
            assert _grants(connection) != granted
            for statement in printed:
                if not statement.startswith("CREATE ROLE"):
                    connection.execute(statement.encode())
            assert _grants(connection) == granted
        created = {name for name in ROLES for each in printed if each == f'CREATE ROLE "{name}" NOLOGIN'}
        assert created == set(ROLES) - there


def test_a_user_who_may_not_create_roles_is_told_what_an_administrator_runs(
    postgres_server: PostgresServerUnderTest,
) -> None:
    with owned_database(postgres_server.url) as url:
        initialise(url)
        with psycopg.connect(postgres_server.url, autocommit=True) as admin:
            name = url.removeprefix("postgresql://").partition(":")[0]
            admin.execute(f"ALTER ROLE {name} NOCREATEROLE".encode())
            with pytest.raises(
                GrantsError, match=r"CREATE ROLE .*ras_ingest.* NOLOGIN; CREATE ROLE"
            ) as refused:
                grant_roles(url)
            for statement in str(refused.value).split("`")[1].split(";"):
                if statement.strip():
                    admin.execute(statement.encode())

        assert grant_roles(url)


@pytest.mark.parametrize(
    ("role", "statement"), [(role, statement) for role, all_of in _FORBIDDEN.items() for statement in all_of]
)
def test_a_role_cannot(users: Mapping[str, str], role: str, statement: str) -> None:
    with (
        psycopg.connect(users[role]) as connection,
        pytest.raises(
            psycopg.errors.InsufficientPrivilege, match=r"permission denied|must be owner|must have admin"
        ),
    ):
        connection.execute(statement)


@pytest.mark.parametrize("role", [PUBLISH, PROJECT, SERVE])
def test_the_way_by_which_events_are_written_is_closed_too(users: Mapping[str, str], role: str) -> None:
    with (
        psycopg.connect(users[role]) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        connection.cursor().copy(_COPY),
    ):
        pass
    with (
        opened_store(users[role]) as store,
        pytest.raises(Exception, match=r"permission denied for|row-level security"),
    ):
        Ingestion(store).insist([dead_letter(topics.ASSESSMENT_RESULT)])


@pytest.mark.parametrize(("role", "other"), list(product(_POSITIONS, _POSITIONS)))
def test_a_role_moves_only_positions_of_its_own(
    owner: str, users: Mapping[str, str], role: str, other: str
) -> None:
    with psycopg.connect(owner, autocommit=True) as connection:
        for name in _POSITIONS[other]:
            connection.execute(
                "INSERT INTO ras.positions VALUES (%s, 7) ON CONFLICT (name) DO NOTHING", [name]
            )
    with psycopg.connect(users[role], autocommit=True) as connection:
        for name in _POSITIONS[other]:
            moved = connection.execute("UPDATE ras.positions SET position = 8 WHERE name = %s", [name])
            assert moved.rowcount == (1 if role == other else 0)
            assert connection.execute("SELECT FROM ras.positions WHERE name = %s", [name]).fetchall() == [()]
            if role != other:
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                    connection.execute("INSERT INTO ras.positions VALUES (%s, 1)", [f"{name}x"])
    with psycopg.connect(owner) as connection:
        for name in _POSITIONS[other]:
            connection.execute("DELETE FROM ras.positions WHERE name = %s", [name])


def test_granting_again_changes_nothing_and_takes_back_what_was_granted_beyond(
    owner: str, users: Mapping[str, str]
) -> None:
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("GRANT INSERT, DELETE ON ras.stored_events TO ras_serve")

    statements = grant_roles(owner)

    assert not [statement for statement in statements if statement.startswith("CREATE ROLE")]
    with (
        psycopg.connect(users[SERVE]) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(_EVENT)


def _grants(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT pg_get_userbyid(a.grantee), c.oid::regclass::text, a.privilege_type"
        " FROM pg_class c CROSS JOIN aclexplode(c.relacl) a"
        " WHERE pg_get_userbyid(a.grantee) = ANY(%s) ORDER BY 1, 2, 3",
        [list(ROLES)],
    ).fetchall()
