"""Tickets that were used, for as long as they would be accepted: each opens a door once, whichever process is asked."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE ras.used_tickets (
            ticket_id text PRIMARY KEY,
            expires_at timestamptz NOT NULL
        )
        """
    )
