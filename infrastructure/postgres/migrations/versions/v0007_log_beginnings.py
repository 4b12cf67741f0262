"""Where a reader or the publisher went on in another Kafka log. Empty at first: of what was before, nothing is known."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE ras.log_beginnings (
            name text NOT NULL,
            after bigint NOT NULL,
            begun_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (name, after)
        )
        """
    )
