"""What roles say of themselves: rate, condition, last error. Overwritten all the time, so rows have room to move."""

from alembic import op

revision = "0004"
down_revision = "0003"

_TABLE = """
    CREATE TABLE ras.role_status (
        reader text PRIMARY KEY,
        owner text NOT NULL,
        condition text NOT NULL,
        per_second double precision NOT NULL,
        last_error text,
        last_error_at timestamptz,
        reported_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(_TABLE)
