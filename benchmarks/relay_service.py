"""An ordinary service of the kind that RAS replaces, for `benchmarks.relay`: rows, an outbox table, a relay.

It is written as such services usually are, and carefully: one transaction for each message, offsets committed after
it, an outbox row in the same transaction, and a relay that polls the table, sends one record after the other and
marks each as sent. It reads the same contracts with the same pydantic models, over plain psycopg, which is the
fastest of the common ways.

    python -m benchmarks.relay_service ingest|relay DATABASE_URL BOOTSTRAP_SERVERS GROUP
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import orjson
import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from psycopg.rows import TupleRow

from application import topics
from application.contracts import incoming as wire
from application.translated_messages import READERS

TABLES: Final = """
    CREATE TABLE batches (
        batch_id text PRIMARY KEY, user_id text, course_code text, essay_count int,
        status text NOT NULL DEFAULT 'processing', phases jsonb NOT NULL DEFAULT '{}'
    );
    CREATE TABLE essays (
        essay_id text PRIMARY KEY, batch_id text NOT NULL, file_name text, text_storage_id text,
        spellcheck_status text, corrections int, rank int, score float8, grade text
    );
    CREATE INDEX essays_by_batch ON essays (batch_id);
    CREATE TABLE outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL,
        value bytea NOT NULL, sent_at timestamptz
    );
    CREATE INDEX outbox_unsent ON outbox (id) WHERE sent_at IS NULL;
    CREATE TABLE progress (name text PRIMARY KEY, number bigint NOT NULL);
    INSERT INTO progress VALUES ('ingested', 0);
"""
POLL_INTERVAL_S: Final = 0.1
_MOST: Final = 100

Connection = psycopg.AsyncConnection[TupleRow]


async def ingest(database_url: str, bootstrap_servers: str, group: str) -> None:
    """Take messages in, each in a transaction, until the process ends."""
    consumer = AIOKafkaConsumer(
        *topics.INPUT_TOPICS,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    connection = await psycopg.AsyncConnection.connect(database_url)
    await consumer.start()
    async for record in consumer:
        reader, _ = READERS[record.topic]
        envelope: Any = reader.model_validate_json(record.value)
        async with connection.transaction():
            await _store(connection, envelope.data)
            await connection.execute("UPDATE progress SET number = number + 1 WHERE name = 'ingested'")
        await consumer.commit()


async def _store(connection: Connection, data: Any) -> None:
    match data:
        case wire.BatchEssaysRegistered():
            await connection.execute(
                "INSERT INTO batches (batch_id, user_id, course_code, essay_count) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (batch_id) DO UPDATE SET user_id = excluded.user_id,"
                " course_code = excluded.course_code, essay_count = excluded.essay_count",
                (data.entity_id, data.user_id, data.course_code.value, data.expected_essay_count),
            )
        case wire.EssaySlotAssigned():
            await connection.execute(
                "INSERT INTO essays (essay_id, batch_id, file_name, text_storage_id) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (essay_id) DO UPDATE SET file_name = excluded.file_name,"
                " text_storage_id = excluded.text_storage_id",
                (data.essay_id, data.batch_id, data.original_file_name, data.text_storage_id),
            )
        case wire.SpellcheckResult():
            await connection.execute(
                "INSERT INTO essays (essay_id, batch_id, spellcheck_status, corrections)"
                " VALUES (%s, %s, %s, %s) ON CONFLICT (essay_id) DO UPDATE"
                " SET spellcheck_status = excluded.spellcheck_status, corrections = excluded.corrections",
                (data.entity_id, data.batch_id, data.status.value, data.corrections_made),
            )
        case wire.BatchPhaseOutcome():
            await _phase(connection, data.batch_id, data.phase_name.value, data.phase_status.value)
        case wire.AssessmentResult():
            for essay in data.essay_results:
                await connection.execute(
                    "UPDATE essays SET rank = %s, score = %s, grade = %s WHERE essay_id = %s",
                    (essay.rank, essay.normalized_score, essay.letter_grade, essay.essay_id),
                )
            await _phase(connection, data.batch_id, "result", "completed_successfully")


async def _phase(connection: Connection, batch_id: str, phase: str, status: str) -> None:
    """Note how a phase ended; with the last one, the batch is done and its event goes into the outbox."""
    found = await connection.execute(
        "INSERT INTO batches (batch_id, phases) VALUES (%s, jsonb_build_object(%s::text, %s::text))"
        " ON CONFLICT (batch_id) DO UPDATE SET phases = batches.phases || excluded.phases"
        " RETURNING phases, status, user_id",
        (batch_id, phase, status),
    )
    row = await found.fetchone()
    assert row is not None
    phases, before, user_id = row
    if before == "completed" or not {"spellcheck", "cj_assessment", "result"} <= phases.keys():
        return
    await connection.execute("UPDATE batches SET status = 'completed' WHERE batch_id = %s", (batch_id,))
    counted = await connection.execute("SELECT count(*) FROM essays WHERE batch_id = %s", (batch_id,))
    essays = await counted.fetchone()
    for topic in (topics.BATCH_RESULTS_READY, topics.TEACHER_NOTIFICATION_REQUESTED):
        value = {
            "event_id": str(uuid4()),
            "event_timestamp": datetime.now(UTC),
            "source_service": "relay",
            "data": {"batch_id": batch_id, "user_id": user_id, "essays": essays, "phases": phases},
        }
        await connection.execute(
            "INSERT INTO outbox (topic, key, value) VALUES (%s, %s, %s)",
            (topic, batch_id, orjson.dumps(value)),
        )


async def relay(database_url: str, bootstrap_servers: str, _group: str) -> None:
    """Send what lies in the outbox, oldest first, until the process ends."""
    connection = await psycopg.AsyncConnection.connect(database_url)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    await producer.start()
    while True:
        async with connection.transaction():
            found = await connection.execute(
                "SELECT id, topic, key, value FROM outbox WHERE sent_at IS NULL ORDER BY id LIMIT %s"
                " FOR UPDATE SKIP LOCKED",
                (_MOST,),
            )
            rows = await found.fetchall()
            for number, topic, key, value in rows:
                await producer.send_and_wait(topic, value, key=key.encode())
                await connection.execute("UPDATE outbox SET sent_at = now() WHERE id = %s", (number,))
        if len(rows) < _MOST:
            await asyncio.sleep(POLL_INTERVAL_S)


if __name__ == "__main__":
    asyncio.run({"ingest": ingest, "relay": relay}[sys.argv[1]](*sys.argv[2:5]))
