"""First tables: the event store, the positions, the intake counts, the versions of the read models.

`stored_events` is the table of eventsourcing 9.5 (PostgresApplicationRecorder, text ids), written out so
that what the database holds does not change when the library does. The partial index serves the
publisher: of some thirty events it follows one.
"""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE ras.stored_events (
        originator_id text NOT NULL,
        originator_version bigint NOT NULL,
        topic text NOT NULL,
        state bytea NOT NULL,
        notification_id bigserial,
        PRIMARY KEY (originator_id, originator_version)
    ) WITH (
        autovacuum_enabled = true,
        autovacuum_vacuum_threshold = 100000000,
        autovacuum_vacuum_scale_factor = 0.5,
        autovacuum_analyze_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.01
    )
    """,
    "CREATE UNIQUE INDEX stored_events_notification_id_idx ON ras.stored_events (notification_id)",
    """
    CREATE INDEX stored_events_published_idx ON ras.stored_events (notification_id)
    WHERE topic IN ('ras.batch.results-ready.v1', 'ras.batch.assessment-announced.v1')
    """,
    """
    CREATE TABLE ras.positions (
        name text PRIMARY KEY,
        position bigint NOT NULL,
        updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE ras.intake_counts (
        topic text NOT NULL,
        partition integer NOT NULL,
        taken_in bigint NOT NULL DEFAULT 0,
        recorded bigint NOT NULL DEFAULT 0,
        repeated bigint NOT NULL DEFAULT 0,
        dead_lettered bigint NOT NULL DEFAULT 0,
        parked bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (topic, partition)
    )
    """,
    "CREATE TABLE ras.read_models (name text PRIMARY KEY, version integer NOT NULL)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)
