"""Announcements of version 2 are published too; those recorded before are judged by the rules of their day.

`rules/outcome` is the last notification id up to which `ras check` does not expect a results-ready for each outcome:
until then a batch was announced once per status.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Recreate the publisher's index with the new topics, and note where the new rules begin."""
    op.execute("DROP INDEX ras.stored_events_published_idx")
    op.execute(
        """
        CREATE INDEX stored_events_published_idx ON ras.stored_events (notification_id)
        WHERE topic IN (
            'ras.batch.results-ready.v1',
            'ras.batch.results-ready.v2',
            'ras.batch.assessment-announced.v1',
            'ras.batch.assessment-announced.v2',
            'ras.batch.progressed.v1',
            'ras.dead-letter.message-dead-lettered.v1'
        )
        """
    )
    op.execute(
        """
        INSERT INTO ras.positions (name, position)
        SELECT 'rules/outcome', max(notification_id) FROM ras.stored_events HAVING count(*) > 0
        """
    )
