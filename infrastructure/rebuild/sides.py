"""The sides of a read model: the live one, the one being built, and the one that was live before.

Each is a schema with tables of the same names, so a side becomes another by renaming its schema. Code
always speaks to the live names; SQLAlchemy exchanges the schema for anyone who works on another side.

What takes a side's name away waits for everybody who reads it (ACCESS EXCLUSIVE on its tables). The
rename alone would not: a statement that is being analysed just then could find one table on the old side
and the next on the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.schema import CreateSchema, DropSchema

from infrastructure.postgres.grants import grant_read_model
from projections.projection import Projection, schema_of

_TABLES: Final = text(
    "SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') ORDER BY c.relname"
)
_EXISTS: Final = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
_COLUMNS: Final = text(
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE n.nspname = :schema AND c.relkind IN ('r', 'p') ORDER BY c.relname, a.attnum"
)


def fresh_schema(name: str) -> str:
    """Return the schema in which the read model `name` is rebuilt."""
    return f"{schema_of(name)}__new"


def kept_schema(name: str) -> str:
    """Return the schema to which the side that was live before has gone."""
    return f"{schema_of(name)}__old"


def exists(connection: Connection, schema: str) -> bool:
    """Whether there is such a schema."""
    return bool(connection.execute(_EXISTS, {"schema": schema}).scalar_one())


def columns(connection: Connection, schema: str) -> Mapping[str, list[tuple[str, str]]]:
    """Return (column, type) of each table of a side, in the tables' order."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in connection.execute(_COLUMNS, {"schema": schema}):
        found.setdefault(table, []).append((column, kind))
    return found


def create_fresh(connection: Connection, projection: Projection) -> None:
    """Create the tables of the new side, in place of what an earlier rebuild may have left."""
    schema = fresh_schema(projection.name)
    drop(connection, schema)
    connection.execute(CreateSchema(schema))
    tables = MetaData()
    for table in projection.metadata.sorted_tables:
        table.to_metadata(tables, schema=schema)
    tables.create_all(connection, checkfirst=False)
    grant_read_model(connection, schema)


def drop(connection: Connection, schema: str) -> None:
    """Drop a side, if there is one."""
    connection.execute(DropSchema(schema, cascade=True, if_exists=True))


def rename(connection: Connection, schema: str, to: str) -> None:
    """Give a side another name."""
    quote = connection.dialect.identifier_preparer.quote
    connection.execute(text(f"ALTER SCHEMA {quote(schema)} RENAME TO {quote(to)}"))


def lock_out_readers(connection: Connection, schema: str) -> None:
    """Wait until nobody uses the tables of a side, and let nobody in until the transaction ends.

    Raises OperationalError (LockNotAvailable) after the transaction's `lock_timeout`.
    """
    quote = connection.dialect.identifier_preparer.quote
    tables = connection.execute(_TABLES, {"schema": schema}).scalars().all()
    if tables:
        names = ", ".join(f"{quote(schema)}.{table}" for table in tables)
        connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))


def instead_of_live(projection: Projection, schema: str) -> Mapping[str, Any]:
    """Return the execution options with which the projection's statements write to `schema`."""
    return {"schema_translate_map": {schema_of(projection.name): schema}}
