"""Failures that have a sentence, and their exit codes."""

from __future__ import annotations

import errno
from typing import Final

from typer import Abort

from infrastructure.errors import OperatorError, causes
from infrastructure.visible import visible, visible_lines

INTERRUPTED: Final = 130
"""The exit code where Ctrl-C came before the work was done."""

_NOT_TO_BE_HAD: Final = {
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE),
}
"""No right, no room, a broken disk. A file that is missing is a fault of ours, unless somebody named it."""

_DATABASE_CLIENTS: Final = frozenset({"psycopg", "psycopg_pool", "sqlalchemy", "eventsourcing"})
_KAFKA_CLIENTS: Final = frozenset({"aiokafka"})


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
    for cause in causes(error):
        if (sentence := _of_a_server(cause) or _of_this_machine(cause)) is not None:
            return 1, visible(sentence)
    return 1, None


def _of_this_machine(error: BaseException) -> str | None:
    """Return what to say of a file that this machine does not let us have, None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _NOT_TO_BE_HAD:
        return None
    return f"{error.strerror}: {error.filename}." if error.filename is not None else f"{error.strerror}."


def _of_a_server(error: BaseException) -> str | None:
    """Return what to say of a server that does not do what was asked of it, None for any other error."""
    # The clients are loaded where an error of theirs can come from, and nowhere else.
    for of_client, sentence_of in ((_DATABASE_CLIENTS, _of_the_database), (_KAFKA_CLIENTS, _of_kafka)):
        if any(base.__module__.split(".")[0] in of_client for base in type(error).__mro__):
            return sentence_of(error)
    return None


def _of_the_database(error: BaseException) -> str | None:
    from infrastructure.postgres import faults

    return None if faults.fault_of(error) is None else faults.sentence(error)


def _of_kafka(error: BaseException) -> str | None:
    from infrastructure.kafka import faults

    return faults.sentence(error)
