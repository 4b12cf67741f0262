"""Asking the read models: single statements, over connections that may have outlived a server or a rebuild."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError

from infrastructure.postgres.read_models import VERSIONS, ReadModelUnavailableError, complaints
from infrastructure.queries.read_pool import is_outlived

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine  # loads the whole ORM

_NOT_THERE: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
)
_MOST_TRIES: Final = 20
"""As many connections as the pool may have, each of which may have outlived a rebuild."""

Rows = Sequence[Any]
"""Rows that are mappings by column: those of psycopg or of SQLAlchemy."""

Ask = Callable[[Any, Mapping[str, Any]], Awaitable[Rows]]
"""Takes a statement and its parameters. Raises psycopg's errors, or SQLAlchemy's around them."""


class ReadModelQueries:
    """What queries on read models begin from: a way to ask, `ReadConnections.rows` or `EngineReads.rows`."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def unfit_read_models(self) -> dict[str, str]:
        """Return what is wrong with the read models that do not fit this release, by name."""
        return complaints({row["name"]: row["version"] for row in await self._ask(VERSIONS.text, {})})

    async def _rows(self, query: Any, **parameters: Any) -> Rows:
        try:
            return await self._ask(query, parameters)
        except (psycopg.Error, DBAPIError) as error:
            if isinstance(getattr(error, "orig", error), _NOT_THERE) and (
                unfit := await self.unfit_read_models()
            ):
                raise ReadModelUnavailableError(" ".join(unfit.values())) from error
            raise


class EngineReads:
    """Single statements over an engine's connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        # Single statements: a transaction around each would be two more trips.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def rows(self, query: str | TextClause, parameters: Mapping[str, Any]) -> Rows:
        """Run `query` and return its rows. Raises SQLAlchemy's errors when the database is unavailable."""
        statement = text(query) if isinstance(query, str) else query
        for _ in range(_MOST_TRIES):
            try:
                return await self._ask(statement, parameters)
            except DBAPIError as error:
                # A connection that died while it lay idle says so only now; the pool has thrown it away.
                # So has `_ask` one whose prepared statements are for tables as they were before a rebuild.
                if not error.connection_invalidated and not is_outlived(error.orig):
                    raise
        return await self._ask(statement, parameters)

    async def _ask(self, statement: TextClause, parameters: Mapping[str, Any]) -> Rows:
        async with self._engine.connect() as connection:
            try:
                return (await connection.execute(statement, parameters)).mappings().all()
            except DBAPIError as error:
                if is_outlived(error.orig):
                    await connection.invalidate()
                raise
