"""Database roles with the least privileges that each role of RAS needs. `ras init --grants` creates and grants them.

They are group roles without a login: the users in the URLs are members of one each. The owner, as whom `ras init` and
`ras rebuild` run because they create tables, needs no grant.

Who may do what:

- Only the ingester and the operators append to the log. Nobody but the owner changes or removes what is in it.
- Only the projector changes read models. It reads the log.
- Each one moves only positions of its own: a projector that moved an ingester's would lose messages. Policies on the
  rows of `ras.positions` see to that.
- The API reads. What it records (read marks, what operators settle) it writes as the operators' role, through
  RAS_DATABASE_WRITE_URL (docs/decisions/0077-writes-of-the-api.md).

Once granted, they are granted again whenever `ras init` or a rebuild creates tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, LiteralString

from psycopg import sql
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from infrastructure.errors import OperatorError
from infrastructure.postgres.connections import SERVICE_SCHEMA, maintenance_engine

INGEST: Final = "ras_ingest"
PUBLISH: Final = "ras_publish"
PROJECT: Final = "ras_project"
SERVE: Final = "ras_serve"
OPERATE: Final = "ras_operate"
ROLES: Final = (INGEST, PUBLISH, PROJECT, SERVE, OPERATE)

TABLES: Final[Mapping[str, Mapping[str, LiteralString]]] = MappingProxyType(
    {
        INGEST: {
            "stored_events": "SELECT, INSERT",
            "positions": "SELECT, INSERT, UPDATE, DELETE",
            "intake_counts": "SELECT, INSERT, UPDATE",
            "log_beginnings": "SELECT, INSERT",
            "role_status": "SELECT, INSERT, UPDATE",
        },
        PUBLISH: {
            "stored_events": "SELECT",
            "positions": "SELECT, INSERT, UPDATE, DELETE",
            "log_beginnings": "SELECT, INSERT",
            "role_status": "SELECT, INSERT, UPDATE",
        },
        PROJECT: {
            "stored_events": "SELECT",
            "positions": "SELECT, INSERT, UPDATE",
            "role_status": "SELECT, INSERT, UPDATE",
        },
        SERVE: {"used_tickets": "SELECT, INSERT, DELETE", "check_state": "SELECT, INSERT, UPDATE"},
        OPERATE: {"stored_events": "SELECT, INSERT", "check_state": "SELECT, INSERT, UPDATE"},
    }
)
"""Privileges on the tables of the service beyond reading what `READS` names."""
READS: Final = ("schema_version", "read_models")
"""Every role asks at its start whether the tables fit."""
READ_ALL: Final = frozenset({SERVE, OPERATE})
"""These read every table of the service and of the read models."""
OWN_POSITIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        INGEST: ("intake/", "ingester/"),
        PUBLISH: ("publisher/", "parked/", "not-sent/"),
        PROJECT: ("projection/",),
    }
)
"""How the names of the positions begin that a role may write."""
READ_MODEL: Final[Mapping[str, LiteralString]] = MappingProxyType(
    {PROJECT: "SELECT, INSERT, UPDATE, DELETE", SERVE: "SELECT", OPERATE: "SELECT"}
)

_SEQUENCE: Final = "stored_events_notification_id_seq"
_READERS: Final = "ras_readers"
"""The policy by which everybody who may read the table sees all positions."""

_MISSING: Final = text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS name"
    " WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY name"
)
_GRANTED: Final = text(
    "SELECT count(*) = cardinality(CAST(:names AS text[])) FROM pg_roles"
    " WHERE rolname = ANY(:names) AND has_schema_privilege(oid, 'ras', 'USAGE')"
)
_SCHEMAS: Final = text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'ras_') ORDER BY nspname")
_DATABASE: Final = text("SELECT current_database()")


class GrantsError(OperatorError):
    """The database roles cannot be created by this user; the text says what an administrator is to run."""


def grant_roles(database_url: str) -> list[str]:
    """Create the roles that are missing and grant them their privileges, and no others; return the statements.

    All in one transaction. Raises GrantsError where roles are missing that this user may not create.
    """
    with maintenance_engine(database_url).begin() as connection:
        created = list(_created(connection))
        return [*created, *regrant(connection)]


def regrant(connection: Connection) -> list[str]:
    """Grant what the roles need on all the tables that there are, and revoke everything else; return the statements."""
    schemas = connection.execute(_SCHEMAS).scalars().all()
    database = str(connection.execute(_DATABASE).scalar_one())
    # Last comes what waits for the users of a table: it needs nothing else afterwards, so it ends no one as a deadlock.
    return _run(connection, [*_on_service(database), *_on_read_models(schemas), *_on_positions()])


def grant_read_model(connection: Connection, schema: str) -> None:
    """Grant the roles what they need on new tables of a read model, where roles were granted anything before."""
    if are_granted(connection):
        _run(connection, _on_read_models([schema]))


def are_granted(connection: Connection) -> bool:
    """Whether somebody has run `ras init --grants` on this database."""
    return bool(connection.execute(_GRANTED, {"names": list(ROLES)}).scalar_one())


def _created(connection: Connection) -> Iterator[str]:
    missing = connection.execute(_MISSING, {"names": list(ROLES)}).scalars().all()
    statements = [_text("CREATE ROLE {} NOLOGIN", sql.Identifier(role)) for role in missing]
    try:
        for statement in statements:
            connection.execute(text(statement))
            yield statement
    except ProgrammingError as error:
        if not isinstance(error.orig, InsufficientPrivilege):
            raise
        raise GrantsError(
            f"This database user may not create roles. Let an administrator run `{'; '.join(statements)};`, then run "
            "`ras init --grants` again."
        ) from error


def _on_service(database: str) -> Iterator[str]:
    roles, schema = _identifiers(ROLES), sql.Identifier(SERVICE_SCHEMA)
    yield _text("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}", schema, roles)
    yield _text("REVOKE ALL ON ALL SEQUENCES IN SCHEMA {} FROM {}", schema, roles)
    yield _text("GRANT CONNECT ON DATABASE {} TO {}", sql.Identifier(database), roles)
    # `ras check` compares the read models with rows that it makes in temporary tables.
    yield _text(
        "GRANT TEMPORARY ON DATABASE {} TO {}", sql.Identifier(database), _identifiers((SERVE, OPERATE))
    )
    yield _text("GRANT USAGE ON SCHEMA {} TO {}", schema, roles)
    yield _text("GRANT SELECT ON ALL TABLES IN SCHEMA {} TO {}", schema, _identifiers(READ_ALL))
    for role in ROLES:
        privileges: dict[str, LiteralString] = {**dict.fromkeys(READS, "SELECT"), **TABLES[role]}
        for table, granted in privileges.items():
            yield _text(f"GRANT {granted} ON {{}} TO {{}}", _table(table), sql.Identifier(role))
        if "INSERT" in privileges.get("stored_events", ""):
            yield _text("GRANT USAGE ON SEQUENCE {} TO {}", _table(_SEQUENCE), sql.Identifier(role))


def _on_read_models(schemas: Iterable[str]) -> Iterator[str]:
    roles = _identifiers(ROLES)
    for name in schemas:
        schema = sql.Identifier(name)
        yield _text("REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM {}", schema, roles)
        yield _text("GRANT USAGE ON SCHEMA {} TO {}", schema, _identifiers(READ_MODEL))
        for role, granted in READ_MODEL.items():
            yield _text(f"GRANT {granted} ON ALL TABLES IN SCHEMA {{}} TO {{}}", schema, sql.Identifier(role))


def _on_positions() -> Iterator[str]:
    table = _table("positions")
    yield _text("ALTER TABLE {} ENABLE ROW LEVEL SECURITY", table)
    yield _text("DROP POLICY IF EXISTS {} ON {}", sql.Identifier(_READERS), table)
    yield _text("CREATE POLICY {} ON {} FOR SELECT USING (true)", sql.Identifier(_READERS), table)
    for role, prefixes in OWN_POSITIONS.items():
        own = sql.SQL(" OR ").join(
            sql.SQL("starts_with(name, {})").format(sql.Literal(each)) for each in prefixes
        )
        policy = sql.Identifier(role)
        yield _text("DROP POLICY IF EXISTS {} ON {}", policy, table)
        yield _text("CREATE POLICY {} ON {} TO {} USING ({})", policy, table, policy, own)


def _run(connection: Connection, statements: Iterable[str]) -> list[str]:
    done = list(statements)
    for statement in done:
        connection.exec_driver_sql(statement)
    return done


def _table(name: str) -> sql.Composable:
    return sql.Identifier(SERVICE_SCHEMA, name)


def _identifiers(names: Iterable[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(name) for name in sorted(names, key=ROLES.index))


def _text(template: LiteralString, *parts: sql.Composable) -> str:
    return sql.SQL(template).format(*parts).as_string(None)
