"""Rebuilds: how far each has come, and what is known of the live and the kept side of a read model.

`generation` counts the sides that were ever live: it changes with every switch and never goes back, so
that anyone who remembers an answer knows whether it came from this side.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = (
    """
    ALTER TABLE ras.read_models
        ADD COLUMN generation bigint NOT NULL DEFAULT 1,
        ADD COLUMN kept_version integer,
        ADD COLUMN kept_position bigint,
        ADD CHECK ((kept_version IS NULL) = (kept_position IS NULL))
    """,
    """
    CREATE TABLE ras.rebuilds (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name text NOT NULL,
        version integer NOT NULL,
        state text NOT NULL CHECK (
            state IN ('filling', 'catching_up', 'proven', 'swapped', 'rolled_back', 'abandoned')
        ),
        position bigint NOT NULL DEFAULT 0,
        detail text NOT NULL DEFAULT '',
        started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE UNIQUE INDEX rebuilds_under_way ON ras.rebuilds (name)
    WHERE state IN ('filling', 'catching_up', 'proven')
    """,
)


def upgrade() -> None:
    """Create the table and the columns."""
    for statement in _STATEMENTS:
        op.execute(statement)
