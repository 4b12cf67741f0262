"""Every error of PostgreSQL and of its driver has a sentence, and none sends people to the wrong place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
import pytest
from eventsourcing.persistence import PersistenceError
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from infrastructure.cli.failures import exit_code_of
from infrastructure.postgres import faults
from infrastructure.postgres.connections import connect_blocking, event_datastore
from infrastructure.postgres.schema import initialise


def _classes(root: type[psycopg.Error]) -> Iterator[type[psycopg.Error]]:
    for found in root.__subclasses__():
        if found.__module__.startswith("psycopg"):
            yield found
            yield from _classes(found)


_ALL: Final = sorted({*_classes(psycopg.Error)}, key=lambda found: found.__name__)
_WITH_CODE: Final = [found for found in _ALL if getattr(found, "sqlstate", None)]
_NO_ANSWER: Final = {"OperationalError", "ConnectionTimeout", "CancellationTimeout", "PipelineAborted"}
_MISUSE: Final = {
    *("DatabaseError", "DataError", "IntegrityError", "InternalError", "NotSupportedError"),
    *("ProgrammingError", "OutOfOrderTransactionNesting"),
}
"""Without a code they come from the driver: RAS used it wrongly."""


@pytest.mark.parametrize("found", _WITH_CODE, ids=lambda found: found.__name__)
def test_each_error_of_the_server_has_a_sentence_that_names_what_and_what_to_do(
    found: type[psycopg.Error],
) -> None:
    code, told = exit_code_of(found("coordinates"))

    assert code == 1
    assert told is not None
    assert told.endswith(".")
    assert "coordinates" in told
    assert "does not answer" not in told


def test_each_class_of_the_table_is_of_a_code_that_the_driver_knows() -> None:
    known = {found.sqlstate for found in _WITH_CODE}

    assert {key for key in faults._TABLE if not any((code or "").startswith(key) for code in known)} == set()


@pytest.mark.parametrize(
    "found", [found for found in _ALL if found not in _WITH_CODE], ids=lambda found: found.__name__
)
def test_each_error_of_the_driver_is_a_connection_or_a_fault_of_ours(found: type[psycopg.Error]) -> None:
    told = exit_code_of(found("coordinates"))[1]

    assert (told is None) == (found.__name__ in _MISUSE)
    assert ("does not answer" in (told or "")) == (
        issubclass(found, psycopg.OperationalError) or found.__name__ in _NO_ANSWER
    )


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('connection to server at "h" failed: FATAL:  sorry, too many clients already', "no free connection"),
        ("FATAL:  remaining connection slots are reserved for roles with SUPERUSER", "no free connection"),
        ('FATAL:  too many connections for role "ras"', "no free connection"),
        ("FATAL:  no more connections allowed (max_client_conn)", "no free connection"),
        ('FATAL:  password authentication failed for user "ras"', "rejects the user or the password"),
        ('FATAL:  role "ras" does not exist', "rejects the user or the password"),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', "rejects the user or the password"),
        ('FATAL:  database "ras" does not exist', "The database does not exist"),
        ("FATAL:  the database system is starting up", "starting, stopping or recovering"),
        ("FATAL:  something else", "refuses the connection"),
        ("session is read-only", "target_session_attrs"),
        ("SSL error: certificate verify failed", "TLS with PostgreSQL failed"),
        ('server certificate for "a" does not match host name "b"', "TLS with PostgreSQL failed"),
        ("server does not support SSL, but SSL was required", "TLS with PostgreSQL failed"),
        ("SSL connection has been closed unexpectedly", "was lost"),
        ("server closed the connection unexpectedly", "was lost"),
        ("Connection refused", "does not answer"),
        ("could not translate host name", "does not answer"),
    ],
)
def test_a_connection_that_does_not_come_about_is_named_by_its_cause(said: str, what: str) -> None:
    assert what in faults.sentence(psycopg.OperationalError(said))


@contextmanager
def _raising(url: str, code: str) -> Iterator[None]:
    """Let every insert into the log fail with `code`."""
    with psycopg.connect(url, autocommit=True) as dba:
        dba.execute(
            sql.SQL(
                "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN RAISE EXCEPTION 'by a test' USING ERRCODE = {}; END$$"
            ).format(sql.Literal(code))
        )
        dba.execute("CREATE TRIGGER fail BEFORE INSERT ON ras.positions EXECUTE FUNCTION public.fail()")
        try:
            yield
        finally:
            dba.execute("DROP FUNCTION public.fail() CASCADE")


def test_an_error_that_is_raised_from_its_own_wrapping_has_its_sentence() -> None:
    inner = psycopg.errors.UndefinedTable("by a test")
    wrapped = DBAPIError("SELECT", None, inner)
    inner.__cause__ = wrapped

    for error in (inner, wrapped):
        assert faults.driver_error(error) is inner
        assert exit_code_of(error) == exit_code_of(psycopg.errors.UndefinedTable("by a test"))


def test_each_code_that_a_real_server_raises_has_its_sentence_through_each_way_in(database_url: str) -> None:
    initialise(database_url)
    unlike = []
    with (
        connect_blocking(database_url) as connection,
        event_datastore(database_url) as datastore,
    ):
        for key, expected in faults._TABLE.items():
            code = key if len(key) == 5 else f"{key}000"
            with _raising(database_url, code):
                statement = "INSERT INTO ras.positions (name, position) VALUES ('fault', 0)"
                for ask in (connection.execute, lambda s: _through(datastore, s)):
                    try:
                        ask(statement)
                    except (psycopg.Error, PersistenceError) as error:
                        if faults.fault_of(error) is not expected or "by a test" not in faults.sentence(
                            error
                        ):
                            unlike.append((code, faults.sentence(error)))
                    else:
                        unlike.append((code, "no error"))

    assert unlike == []


def _through(datastore: object, statement: str) -> None:
    with datastore.get_connection() as connection:  # type: ignore[attr-defined]
        connection.execute(statement)
