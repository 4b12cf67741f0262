"""How far `ras check` has found everything in order, for its incremental runs."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table of one row."""
    op.execute(
        """
        CREATE TABLE ras.check_state (
            only_row boolean PRIMARY KEY CHECK (only_row),
            state jsonb NOT NULL,
            checked_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )
