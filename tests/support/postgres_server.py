"""The PostgreSQL of a test run, and a database of its own for each test."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


class PostgresServerUnderTest(Protocol):
    """An embedded server or a given one: the URL of a database in which others may be created."""

    @property
    def url(self) -> str: ...


@dataclass(frozen=True)
class GivenPostgres:
    """The server that RAS_TEST_DATABASE_URL names."""

    url: str


@contextmanager
def fresh_database(admin_url: str, *, like: str | None = None) -> Iterator[str]:
    """The URL of a new database, dropped at the end together with the connections left to it.

    It is empty, or a copy of the one at the URL `like`, to which nobody may be connected meanwhile.
    """
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(admin_url, autocommit=True) as connection:
        template = "template1" if like is None else urlsplit(like).path.removeprefix("/")
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    try:
        yield urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
