"""What ends a command with a sentence, and what shows as the fault of ours that it is."""

from __future__ import annotations

import errno

import psycopg
import pytest
import typer
from aiokafka.errors import KafkaConnectionError
from eventsourcing.persistence import ProgrammingError as LibraryError
from sqlalchemy.exc import OperationalError, ProgrammingError

from infrastructure.cli.failures import CommandError, exit_code_of
from infrastructure.local.processes import EmbeddedServerError
from infrastructure.settings import SettingsError


def _wrapped_by_the_library(error: psycopg.Error) -> LibraryError:
    """The event store's library raises its own error from the driver's."""
    wrapped = LibraryError(str(error))
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (SettingsError("RAS_API_PORT: too large"), 2, "RAS_API_PORT: too large"),
        (CommandError("There is no dead letter 7"), 1, "There is no dead letter 7"),
        (EmbeddedServerError("PostgreSQL did not start"), 1, "PostgreSQL did not start"),
        (psycopg.OperationalError("refused"), 1, "The database does not answer: refused. Check"),
        (OperationalError("SELECT", {}, psycopg.OperationalError("gone")), 1, "does not answer: gone. Check"),
        (psycopg.errors.UndefinedTable("ras.events"), 1, "A table of RAS is gone"),
        (ProgrammingError("SELECT", {}, psycopg.errors.UndefinedTable("x")), 1, "A table of RAS is gone"),
        (psycopg.errors.InsufficientPrivilege("for x"), 1, "lacks a privilege: for x. "),
        (ProgrammingError("", {}, psycopg.errors.InsufficientPrivilege("for x")), 1, "privilege: for x. "),
        (psycopg.errors.ReadOnlySqlTransaction("INSERT"), 1, "takes no writes: INSERT. "),
        (
            _wrapped_by_the_library(psycopg.errors.InsufficientPrivilege("for x")),
            1,
            "lacks a privilege: for x. ",
        ),
        (_wrapped_by_the_library(psycopg.errors.UndefinedTable("x")), 1, "A table of RAS is gone"),
        (KafkaConnectionError("refused"), 1, "Kafka does not answer: KafkaConnectionError: refused"),
        (PermissionError(errno.EACCES, "Permission denied", "x.json"), 1, "Permission denied: x.json."),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device."),
        (typer.Abort(), 1, "Not confirmed. Nothing was changed."),
        (ExceptionGroup("tasks", [SettingsError("wrong")]), 2, "wrong"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_foreseen_failure_is_a_sentence(error: Exception, code: int, words: str) -> None:
    found, sentence = exit_code_of(error)

    assert found == code
    assert sentence is not None
    assert words in sentence


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        psycopg.ProgrammingError("cannot adapt type 'Fault' using placeholder '%s'"),
        _wrapped_by_the_library(psycopg.DataError("x")),
    ],
)
def test_a_fault_of_ours_has_none(error: Exception) -> None:
    assert exit_code_of(error) == (1, None)
