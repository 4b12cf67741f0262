"""Connections to PostgreSQL: one URL, four ways in (the event store's pool, psycopg with and without asyncio, SQLAlchemy).

Every one of them is set up by `sessions.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import psycopg
from eventsourcing.postgres import PostgresDatastore

from infrastructure.postgres.sessions import (
    CONNECT_TIMEOUT_S,
    ROLE_LIMITS,
    UNLIMITED,
    AsyncConnection,
    Connection,
    Limits,
    parameters_of,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

SERVICE_SCHEMA: Final = "ras"
"""Where events and positions live; each read model has a schema of its own."""


class _Datastore(PostgresDatastore):
    """The library's datastore with our sessions; the library passes on five settings of a connection only."""

    def __init__(self, database_url: str, limits: Limits, *, pool_size: int, pre_ping: bool) -> None:
        self._limits = limits
        super().__init__(
            *("", "", "", "", ""),
            connect_timeout=CONNECT_TIMEOUT_S,
            pool_size=pool_size,
            pre_ping=pre_ping,
            schema=SERVICE_SCHEMA,
            originator_id_type="text",
        )
        settings = self.pool.kwargs
        assert isinstance(settings, dict)
        self.pool.connection_class = Connection
        self.pool.kwargs = parameters_of(database_url) | {"row_factory": settings["row_factory"]}

    def after_connect_func(self) -> Callable[[psycopg.Connection[Any]], None]:
        limits = self._limits  # no reference to self: the pool would keep the datastore alive

        def set_up(connection: psycopg.Connection[Any]) -> None:
            assert isinstance(connection, Connection)
            connection.set_up(limits)

        return set_up


def event_datastore(
    database_url: str, *, limits: Limits = ROLE_LIMITS, pool_size: int = 2, pre_ping: bool = False
) -> PostgresDatastore:
    """Return the library's datastore for `database_url` (any libpq URL or keyword string).

    A writer waits at most ten seconds for the lock on the log, and one that stops in mid-transaction
    loses its session after thirty, so that a hung process cannot stop the others for good. With `pre_ping`
    a connection that died in the pool is found out before it is lent, at the price of a trip.
    """
    return _Datastore(database_url, limits, pool_size=pool_size, pre_ping=pre_ping)


async def connect(
    database_url: str, *, limits: Limits = ROLE_LIMITS, **settings: Any
) -> AsyncConnection[Any]:
    """Open one connection in autocommit mode; `settings` are psycopg's."""
    connection = await AsyncConnection.connect(**(parameters_of(database_url) | settings))
    try:
        return await connection.set_up(limits)
    except BaseException:
        await connection.close()
        raise


async def connect_pooled(database_url: str, *, limits: Limits, **settings: Any) -> AsyncConnection[Any]:
    """Open one connection through a pooler in transaction mode: each transaction makes its own settings."""
    connection = await AsyncConnection.connect(
        **(parameters_of(database_url) | settings), autocommit=True, prepare_threshold=None
    )
    connection.limits = limits
    return connection


def connect_blocking(database_url: str, *, limits: Limits = UNLIMITED, **settings: Any) -> Connection[Any]:
    """Open one blocking connection in autocommit mode; `settings` are psycopg's."""
    connection = Connection.connect(**(parameters_of(database_url) | settings))
    try:
        return connection.set_up(limits)
    except BaseException:
        connection.close()
        raise


def read_model_engine(database_url: str, *, pool_size: int = 5, limits: Limits = ROLE_LIMITS) -> AsyncEngine:
    """Return SQLAlchemy's engine for the read models behind `database_url`.

    It prepares nothing: a rebuild may change the columns under a statement.
    """
    # Imported here because ingester and publisher know no read models: it is a fifth of their start.
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import create_async_engine

    async def opened(_conninfo: str = "", **settings: Any) -> AsyncConnection[Any]:
        connection = await connect(database_url, limits=limits, **settings)
        await connection.set_autocommit(False)
        return connection

    return create_async_engine(
        URL.create("postgresql+psycopg"),
        connect_args={"async_creator_fn": opened, "prepare_threshold": None},
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=False,
        pool_timeout=CONNECT_TIMEOUT_S,
        hide_parameters=True,  # its errors would show rows, and so people, to anyone who reads the log
    )


def maintenance_engine(database_url: str) -> Engine:
    """Return an engine for commands that look after the tables: it blocks, and keeps no connection open."""
    from sqlalchemy import URL, create_engine
    from sqlalchemy.pool import NullPool

    def opened() -> Connection[Any]:
        connection = connect_blocking(database_url)
        connection.autocommit = False
        return connection

    return create_engine(
        URL.create("postgresql+psycopg"), creator=opened, poolclass=NullPool, hide_parameters=True
    )
