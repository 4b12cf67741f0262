"""Alembic's entry point; the connection comes from `schema.py`, which runs the migrations."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="ras",
)
with context.begin_transaction():
    context.run_migrations()
