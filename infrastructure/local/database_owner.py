"""Whom the databases of the embedded PostgreSQL belong to: a user of RAS who is not a superuser.

The roles and commands of RAS connect as this user. It owns its databases, makes tables and database roles, and has
nothing of the server: no files, no programs, no settings. Data folders of early releases belong to the superuser;
what is RAS's in them is handed over at the next start, in one transaction.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

OWNER: Final = "ras"

_ATTRIBUTES: Final = sql.SQL(
    # CREATEROLE is for `ras init --grants`; since PostgreSQL 16 it gives power over the roles that one made, only.
    "{} ROLE {} LOGIN NOSUPERUSER CREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD {}"
)
_SCHEMAS: Final = """
    SELECT nspname FROM pg_namespace
    WHERE (nspname = 'ras' OR starts_with(nspname, 'ras_')) AND nspowner <> %s::regrole
"""
# A sequence that belongs to a column follows its table, and cannot be given away alone.
_RELATIONS: Final = """
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
        n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname = 'ras' OR starts_with(n.nspname, 'ras_')) AND c.relowner <> %s::regrole
        AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
        AND NOT (c.relkind = 'S' AND EXISTS (
            SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')))
"""


def kept_password(file: Path) -> str:
    """Return the password in `file`; a new one the first time. Only the user who runs RAS can read it."""
    with suppress(FileNotFoundError):
        if password := file.read_text(encoding="ascii").strip():
            return password
    password = secrets.token_urlsafe(24)
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(password, encoding="ascii")
    draft.replace(file)
    return password


def ensure_owner(connection: psycopg.Connection[Any], password: str) -> None:
    """Create the owner, or give it its attributes and this password again. Needs a superuser's connection."""
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone()
    verb = sql.SQL("CREATE" if found is None else "ALTER")
    connection.execute(_ATTRIBUTES.format(verb, sql.Identifier(OWNER), sql.Literal(password)))


def ensure_database(connection: psycopg.Connection[Any], name: str) -> None:
    """Create a database of the owner's unless there is one; one of an early release becomes the owner's."""
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [name]
    ).fetchone()
    if row is None:
        statement = "CREATE DATABASE {} OWNER {}"
    elif row[0] != OWNER:
        statement = "ALTER DATABASE {} OWNER TO {}"
    else:
        return
    connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(OWNER)))


def hand_over(connection: psycopg.Connection[Any]) -> int:
    """Make the owner own RAS's schemas and tables in the connection's database; return how many it did not."""
    owner = sql.Identifier(OWNER)
    with connection.transaction():
        schemas = connection.execute(_SCHEMAS, [OWNER]).fetchall()
        relations = connection.execute(_RELATIONS, [OWNER]).fetchall()
        for (schema,) in schemas:
            connection.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(sql.Identifier(schema), owner))
        for kind, schema, name in relations:
            connection.execute(
                sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(kind), sql.Identifier(schema, name), owner)
            )
    return len(schemas) + len(relations)
