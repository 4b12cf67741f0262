"""A database whose owner is not a superuser, and a user for each database role of RAS."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from infrastructure.postgres.grants import ROLES
from tests.support.postgres_server import fresh_database

_PASSWORD: Final = "a-password-for-tests"


@contextmanager
def owned_database(admin_url: str) -> Iterator[str]:
    """The URL of a new database for its owner, who may create roles and is not a superuser."""
    name = f"owner_{uuid.uuid4().hex}"
    with fresh_database(admin_url) as url, psycopg.connect(url, autocommit=True) as admin:
        owner, database = sql.Identifier(name), sql.Identifier(urlsplit(url).path.removeprefix("/"))
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(owner, sql.Literal(_PASSWORD))
        )
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, owner))
        try:
            yield _as_user(url, name)
        finally:
            for role in _there(admin):
                admin.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
                with suppress(psycopg.errors.DependentObjectsStillExist):  # another database uses it
                    admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
            admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(database))
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(owner))
            admin.execute(sql.SQL("DROP ROLE {}").format(owner))


@contextmanager
def members(owner_url: str) -> Iterator[Mapping[str, str]]:
    """The URL of a user in each role, as an operator makes them."""
    suffix = uuid.uuid4().hex
    with psycopg.connect(owner_url, autocommit=True) as owner:
        names = {role: f"{role}_{suffix}" for role in ROLES}
        for role, name in names.items():
            owner.execute(
                sql.SQL("CREATE USER {} PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(name), sql.Literal(_PASSWORD), sql.Identifier(role)
                )
            )
        try:
            yield {role: _as_user(owner_url, name) for role, name in names.items()}
        finally:
            for name in names.values():
                owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _there(admin: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    rows = admin.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)]).fetchall()
    return [str(name) for (name,) in rows]


def _as_user(url: str, name: str) -> str:
    address = urlsplit(url)
    host = address.netloc.rpartition("@")[2]
    return address._replace(netloc=f"{name}:{_PASSWORD}@{host}").geturl()
