"""Intake positions say which message lies there. Those of an older release have no mark until they move."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE ras.positions ADD COLUMN mark text")
