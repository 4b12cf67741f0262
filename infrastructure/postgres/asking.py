"""Asking the read models: single statements, over connections that may have outlived a server or a rebuild."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from infrastructure.postgres.read_models import VERSIONS, ReadModelUnavailableError, complaints

_NOT_THERE: Final = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName,
)
_MOST_TRIES: Final = 20
"""As many connections as the pool may have, each of which may have outlived a rebuild."""


class ReadModelQueries:
    """What queries on read models begin from. Raises SQLAlchemy's errors when the database is away."""

    def __init__(self, engine: AsyncEngine) -> None:
        # Single statements: a transaction around each would be two more trips.
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def unfit_read_models(self) -> dict[str, str]:
        """Return what is wrong with the read models that do not fit this release, by name."""
        return complaints({row["name"]: row["version"] for row in await self._asked(VERSIONS, {})})

    async def _rows(self, query: Any, **parameters: Any) -> list[RowMapping]:
        try:
            return await self._asked(query, parameters)
        except DBAPIError as error:
            if isinstance(error.orig, _NOT_THERE) and (unfit := await self.unfit_read_models()):
                raise ReadModelUnavailableError(" ".join(unfit.values())) from error
            raise

    async def _asked(self, query: Any, parameters: Mapping[str, Any]) -> list[RowMapping]:
        for _ in range(_MOST_TRIES):
            try:
                return await self._ask(query, parameters)
            except DBAPIError as error:
                # A connection that died while it lay idle says so only now; the pool has thrown it away.
                # So has `_ask` one whose prepared statements are for tables as they were before a rebuild.
                if not error.connection_invalidated and not _is_outlived(error):
                    raise
        return await self._ask(query, parameters)

    async def _ask(self, query: Any, parameters: Mapping[str, Any]) -> list[RowMapping]:
        async with self._engine.connect() as connection:
            try:
                return list((await connection.execute(query, parameters)).mappings().all())
            except DBAPIError as error:
                if _is_outlived(error):
                    await connection.invalidate()
                raise


def _is_outlived(error: DBAPIError) -> bool:
    """Whether a prepared statement would now return other columns ("cached plan must not change result type")."""
    return isinstance(error.orig, psycopg.errors.FeatureNotSupported) and "cached plan" in str(error.orig)
