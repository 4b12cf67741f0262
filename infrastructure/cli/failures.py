"""Failures that have a sentence, and their exit codes."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from typing import Final

from typer import Abort

from infrastructure.errors import OperatorError
from infrastructure.visible import visible, visible_lines

_DATABASE_AWAY: Final = (
    ("psycopg", "OperationalError"),
    ("sqlalchemy.exc", "OperationalError"),
    ("eventsourcing.persistence", "OperationalError"),
    ("eventsourcing.persistence", "InterfaceError"),
    ("eventsourcing.persistence", "InternalError"),
)
_TABLE_GONE: Final = (("psycopg.errors", "UndefinedTable"), ("psycopg.errors", "InvalidSchemaName"))
_NO_RIGHT: Final = (("psycopg.errors", "InsufficientPrivilege"),)
_READ_ONLY: Final = (("psycopg.errors", "ReadOnlySqlTransaction"),)
_NOT_TO_BE_HAD: Final = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE),
}
"""No right, no room, a broken disk. A file that is missing is a fault of ours, unless somebody named it."""

_KAFKA_AWAY: Final = (("aiokafka.errors", "KafkaError"),)


class CommandError(OperatorError):
    """What a command was asked for cannot be done; the text says why and what to do."""


def exit_code_of(error: BaseException) -> tuple[int, str | None]:
    """Return the exit code of a failure and its sentence, None for a fault of our own."""
    if isinstance(error, BaseExceptionGroup):
        return exit_code_of(error.exceptions[0])
    if isinstance(error, OperatorError):
        return error.exit_code, (visible_lines if error.has_lines else visible)(str(error))
    if isinstance(error, Abort):
        return 1, "Not confirmed. Nothing was changed."
    for cause in _causes(error):
        if (sentence := _of_a_server(cause) or _of_this_machine(cause)) is not None:
            return 1, visible(sentence)
    return 1, None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the driver's error first, where a library has wrapped it in one of its own."""
    inner = getattr(error, "orig", None) or error.__cause__
    if inner is not None:
        yield from _causes(inner)
    yield error


def _of_this_machine(error: BaseException) -> str | None:
    """Return what to say of a file that this machine does not let us have, None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _NOT_TO_BE_HAD:
        return None
    return f"{error.strerror}: {error.filename}." if error.filename is not None else f"{error.strerror}."


def _of_a_server(error: BaseException) -> str | None:
    """Return what to say of a server that does not do what was asked of it, None for any other error."""
    said = " ".join(str(error).split())
    if _is_one_of(error, _READ_ONLY):
        return (
            f"The database takes no writes: {said}. RAS_DATABASE_URL must name the primary, and a user whose "
            "transactions may write."
        )
    if _is_one_of(error, _NO_RIGHT):
        return (
            f"The database user has not the right: {said}. RAS_DATABASE_URL must name a user that owns what "
            "`ras init` has made, or has been granted it."
        )
    if _is_one_of(error, _DATABASE_AWAY):
        return f"The database does not answer: {said} Check RAS_DATABASE_URL."
    if _is_one_of(error, _TABLE_GONE):
        return (
            "A table of RAS is gone from the database. If a backup is being restored, stop all roles first and "
            "start them when it is done."
        )
    if _is_one_of(error, _KAFKA_AWAY):
        from infrastructure.kafka import faults  # loaded only where the client is

        return faults.sentence(error)
    return None


def _is_one_of(error: BaseException, classes: tuple[tuple[str, str], ...]) -> bool:
    """Tell whether `error` is of one of the classes, given by module and name.

    A library that is not loaded has raised nothing: it need not be imported to find that out.
    """
    loaded = ((sys.modules.get(module), name) for module, name in classes)
    return isinstance(error, tuple(getattr(module, name) for module, name in loaded if module is not None))
