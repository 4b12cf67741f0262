"""Connections to PostgreSQL: one URL, three ways in (the event store's pool, psycopg, SQLAlchemy)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

SERVICE_SCHEMA: Final = "ras"
"""Where events and positions live; each read model has a schema of its own."""

_CONNECT_TIMEOUT_S: Final = 5
_LOCK_TIMEOUT_S: Final = 10
_IDLE_IN_TRANSACTION_TIMEOUT_S: Final = 30


def event_datastore(database_url: str, *, pool_size: int = 2, pre_ping: bool = False) -> PostgresDatastore:
    """Return the library's datastore for `database_url` (any libpq URL or keyword string).

    A writer waits at most ten seconds for the lock on the log, and one that stops in mid-transaction
    loses its session after thirty, so that a hung process cannot stop the others for good. With `pre_ping`
    a connection that died in the pool is found out before it is lent, at the price of a trip.
    """
    given = {key: value for key, value in conninfo_to_dict(database_url).items() if value is not None}
    datastore = PostgresDatastore(
        dbname=str(given.pop("dbname", "postgres")),
        host=str(given.pop("host", "")),
        port=str(given.pop("port", "")),
        user=str(given.pop("user", "")),
        password=str(given.pop("password", "")),
        connect_timeout=_CONNECT_TIMEOUT_S,
        idle_in_transaction_session_timeout=_IDLE_IN_TRANSACTION_TIMEOUT_S,
        lock_timeout=_LOCK_TIMEOUT_S,
        pool_size=pool_size,
        pre_ping=pre_ping,
        schema=SERVICE_SCHEMA,
        originator_id_type="text",
    )
    # The library passes on five settings of a connection; an operator's others (TLS, names) count too.
    connection_settings = datastore.pool.kwargs
    assert isinstance(connection_settings, dict)
    connection_settings.update(given, connect_timeout=_CONNECT_TIMEOUT_S)
    return datastore


async def connect(database_url: str) -> psycopg.AsyncConnection[TupleRow]:
    """Open one connection in autocommit mode, for reading the log and for LISTEN."""
    return await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S
    )


def read_model_engine(
    database_url: str, *, pool_size: int = 5, statement_timeout_s: int | None = None, prepared: bool = True
) -> AsyncEngine:
    """Return SQLAlchemy's engine for the read models behind `database_url`.

    `prepared` is for many small queries: statements asked often are prepared, and must be thrown away
    when a rebuild changes the columns under them.
    """
    # Imported here because ingester and publisher know no read models: it is a fifth of their start.
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import create_async_engine

    given = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    given.setdefault("connect_timeout", str(_CONNECT_TIMEOUT_S))
    if statement_timeout_s is not None:
        given["options"] = f"{given.get('options', '')} -c statement_timeout={statement_timeout_s}s".strip()
    return create_async_engine(
        URL.create("postgresql+psycopg"),
        connect_args=given if prepared else {**given, "prepare_threshold": None},
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=False,
        pool_timeout=_CONNECT_TIMEOUT_S,
        hide_parameters=True,  # its errors would show rows, and so people, to whoever reads the log
    )


def maintenance_engine(database_url: str) -> Engine:
    """Return an engine for commands that look after the tables: it blocks, and keeps no connection open."""
    from sqlalchemy import URL, create_engine
    from sqlalchemy.pool import NullPool

    given = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    given.setdefault("connect_timeout", str(_CONNECT_TIMEOUT_S))
    return create_engine(
        URL.create("postgresql+psycopg"), connect_args=given, poolclass=NullPool, hide_parameters=True
    )
