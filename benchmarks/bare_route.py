"""What `status_route` is measured against: one Starlette route, one select by primary key, nothing else.

    python -m benchmarks.bare_route DATABASE_URL PORT DRIVER

The same bytes lie ready in a table. No middleware, no authentication, no ETag, no problem handling; uvicorn
and its settings are those of `ras serve`. DRIVER is `engine` (the way the API itself reaches the database)
or `pool` (psycopg alone, the shortest way there is).
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import uvicorn
import uvloop
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infrastructure.postgres.datastore import read_model_engine

CREATE: Final = "CREATE TABLE public.bodies (batch_id text PRIMARY KEY, body bytea NOT NULL)"
PATH: Final = "/internal/v1/batches/{batch_id}/status"
_POOL_SIZE: Final = 10

Select = Callable[[str], Awaitable[Any]]


@contextlib.asynccontextmanager
async def by_engine(database_url: str) -> AsyncIterator[Select]:
    """Select as the API does: SQLAlchemy's engine in autocommit mode."""
    engine = read_model_engine(database_url, pool_size=_POOL_SIZE)
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    query = text("SELECT body FROM public.bodies WHERE batch_id = :batch_id")

    async def select(batch_id: str) -> Any:
        async with autocommit.connect() as connection:
            return (await connection.execute(query, {"batch_id": batch_id})).scalar_one()

    yield select
    await engine.dispose()


@contextlib.asynccontextmanager
async def by_pool(database_url: str) -> AsyncIterator[Select]:
    """Select by psycopg alone."""
    settings = {"autocommit": True}
    async with AsyncConnectionPool(
        database_url, min_size=_POOL_SIZE, max_size=2 * _POOL_SIZE, kwargs=settings, open=False
    ) as pool:

        async def select(batch_id: str) -> Any:
            async with pool.connection() as connection:
                cursor = await connection.execute(
                    "SELECT body FROM public.bodies WHERE batch_id = %s", (batch_id,), binary=True
                )
                row = await cursor.fetchone()
                assert row is not None
                return row[0]

        yield select


DRIVERS: Final = {"engine": by_engine, "pool": by_pool}


async def main(database_url: str, port: str, driver: str) -> None:
    """Serve until SIGTERM."""
    async with DRIVERS[driver](database_url) as select:

        async def status(request: Request) -> Response:
            return Response(await select(request.path_params["batch_id"]), media_type="application/json")

        app = Starlette(routes=[Route(PATH, status)])
        config = uvicorn.Config(app, port=int(port), log_config=None, access_log=False, lifespan="on")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:4]))
