"""Rows on their way into a statement: two ways to write them, one outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Table, text
from sqlalchemy.dialects import postgresql

from infrastructure.postgres.rows import encoded
from projections.batch_results import essays
from projections.catalogue import PROJECTIONS
from projections.dead_letters import letters
from projections.projection import GIVEN, Row, array_text, as_rows, schema_of, upsert, upserts
from projections.teacher_inbox import notifications
from tests.projections.test_cuts import LOG
from tests.support.examples import examples
from tests.support.read_models import rows

_AT = datetime(2026, 3, 7, 9, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))

LETTER: Row = {
    "position": 1,
    "stream_id": "dead-letter-1",
    "reason": "not_json",
    "detail": 'Quotation marks ", a backslash \\ and ünïcödé \N{PILE OF POO}',
    "topic": "some-topic",
    "partition": 0,
    "offset": 2**62,
    "received_at": _AT,
    "key": None,
    "value": b"\x00\xff\\x",
    "headers": [["a", "b"]],
    "stream_version": 1,
    "state": "open",
    "attempts": 0,
    "changed_at": _AT,
    "changed_by": None,
    "note": 'because of "this"',
}
AWKWARD: Row = {
    **LETTER,
    "detail": "two\nlines\tand \x01, \\n that is none, \x7f and {braces, commas}",
    "reason": "NULL",
    "topic": "null",
    "state": "",
    "note": "\\",
    "headers": [["line\nfeed", 'a "name"'], ["\\u0041", "\\\\"], []],
}
NOTIFICATION: Row = {
    "notification_id": UUID(int=7),
    "teacher_id": "teacher-0007",
    "notification_type": "batch_results_ready",
    "category": "processing_results",
    "priority": "high",
    "action_required": False,
    "batch_id": "batch-1",
    "correlation_id": "c",
    "payload": {"beyond 64 bits": 2**70, "seconds": 0.1},
    "happened_at": datetime(2026, 3, 7, tzinfo=UTC),
    "position": 3,
}


@pytest.mark.parametrize(
    ("table", "row"), [(letters, LETTER), (letters, AWKWARD), (notifications, NOTIFICATION)]
)
def test_the_fast_way_to_write_rows_and_the_other_give_the_same_row(
    connection: Connection, table: Table, row: Row
) -> None:
    statement = upsert(table, list(row))
    found = []
    for parameters in (as_rows([row]), encoded(as_rows([row]))):
        connection.execute(statement, parameters)
        found.append(rows(connection, table))
        connection.execute(table.delete())

    assert found[0] == found[1]
    assert {name: found[0][0][name] for name in row} == row


_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_FREE = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(
    column=st.lists(st.none() | _TEXTS, max_size=4),
    objects=st.lists(st.none() | st.dictionaries(_TEXTS, _FREE, max_size=3), max_size=4),
)
@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_the_database_reads(
    connection: Connection, column: list[str | None], objects: list[dict[str, Any] | None]
) -> None:
    both = {f"{GIVEN}column": column, f"{GIVEN}objects": objects}
    fast = encoded(both)
    for texts, documents in (
        (fast[f"{GIVEN}column"], fast[f"{GIVEN}objects"]),
        (array_text(column), array_text(objects)),
    ):
        query = text("SELECT CAST(:texts AS text[]), CAST(:documents AS jsonb[])")
        found = connection.execute(query, {"texts": texts, "documents": documents}).one()
        assert found == (column, objects)


def test_rows_given_in_parts_are_put_in_each_with_the_columns_it_has(connection: Connection) -> None:
    def put(*parts: Row) -> None:
        for statement in upserts(essays, parts):
            connection.execute(statement.executable, statement.parameters)

    def essay(essay_id: str, **values: object) -> Row:
        return {"batch_id": "b", "essay_id": essay_id, "last_updated": _AT, **values}

    put(essay("e1", ordinal=0), essay("e2", ordinal=1, file_name="essay-02.docx"))
    put(essay("e1", file_name="essay-01.docx"), essay("e2", spellcheck_status="failed"))

    found = [
        (r["essay_id"], r["ordinal"], r["file_name"], r["spellcheck_status"])
        for r in rows(connection, essays)
    ]
    assert found == [("e1", 0, "essay-01.docx", None), ("e2", 1, "essay-02.docx", "failed")]


def test_every_statement_can_be_run_in_another_schema() -> None:
    """A rebuild does: what names a schema in a text would write to the live side."""
    for projection in PROJECTIONS:
        wanted = [each for each in LOG if isinstance(each.event, projection.events)]
        for statement in projection.statements(wanted):
            executable: Any = statement.executable
            compiled = executable.compile(
                dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
                schema_translate_map={schema_of(projection.name): "elsewhere"},
                render_schema_translate=True,
            )
            assert "elsewhere." in str(compiled)
            assert schema_of(projection.name) not in str(compiled)
