"""Failures that have a sentence: what a person is told, and the exit code."""

from __future__ import annotations

import sys
from typing import Final

from infrastructure.foreseen import ForeseenError

_DATABASE_AWAY: Final = (
    ("psycopg", "OperationalError"),
    ("sqlalchemy.exc", "OperationalError"),
    ("eventsourcing.persistence", "OperationalError"),
    ("eventsourcing.persistence", "InterfaceError"),
    ("eventsourcing.persistence", "InternalError"),
)
_TABLE_GONE: Final = (("psycopg.errors", "UndefinedTable"),)
_KAFKA_AWAY: Final = (("aiokafka.errors", "KafkaError"),)


class CommandError(ForeseenError):
    """What a command was asked for cannot be done; the text says why and what to do."""


def exit_code_of(error: BaseException) -> tuple[int, str | None]:
    """Return the exit code of a failure and its sentence, None for a fault of our own."""
    if isinstance(error, BaseExceptionGroup):
        return exit_code_of(error.exceptions[0])
    if isinstance(error, ForeseenError):
        return error.exit_code, str(error)
    cause = getattr(error, "orig", None) or error  # sqlalchemy wraps the driver's
    if _is_one_of(error, _DATABASE_AWAY):
        return 1, f"The database does not answer: {str(cause).strip()} Check RAS_DATABASE_URL."
    if _is_one_of(cause, _TABLE_GONE):
        return 1, (
            "A table of RAS is gone from the database. If a backup is being restored, stop all roles first and "
            "start them when it is done."
        )
    if _is_one_of(error, _KAFKA_AWAY):
        return 1, f"Kafka does not answer: {error}. Check RAS_KAFKA_BOOTSTRAP_SERVERS."
    return 1, None


def _is_one_of(error: BaseException, classes: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether `error` is of one of the classes, given by module and name.

    A library that is not loaded has raised nothing: it need not be imported to find that out.
    """
    loaded = ((sys.modules.get(module), name) for module, name in classes)
    return isinstance(error, tuple(getattr(module, name) for module, name in loaded if module is not None))
