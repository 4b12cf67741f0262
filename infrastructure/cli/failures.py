"""Failures that have a sentence: what a person is told, and the exit code."""

from __future__ import annotations

from typing import Final

import psycopg
import sqlalchemy.exc
from aiokafka.errors import KafkaError

from infrastructure.check.run import CheckUnderWayError
from infrastructure.embedded.processes import EmbeddedServerError
from infrastructure.eventstore.store import TRANSIENT_ERRORS
from infrastructure.kafka.publisher import PublisherFencedError, PublisherPositionError
from infrastructure.kafka.same_log import OffsetGapError
from infrastructure.kafka.topics import TopicSettingsError
from infrastructure.postgres.schema_version import SchemaVersionError
from infrastructure.rebuild.session import RebuildError
from infrastructure.settings import SettingsError

_SENTENCES: Final = (
    CheckUnderWayError,
    EmbeddedServerError,
    OffsetGapError,
    PublisherFencedError,
    PublisherPositionError,
    RebuildError,
    SchemaVersionError,
    TopicSettingsError,
)


class CommandError(Exception):
    """What a command was asked for cannot be done; the text says why and what to do."""


def exit_code_of(error: BaseException) -> tuple[int, str | None]:
    """Return the exit code of a failure and its sentence, None for a fault of our own."""
    if isinstance(error, BaseExceptionGroup):
        return exit_code_of(error.exceptions[0])
    if isinstance(error, SettingsError):
        return 2, str(error)
    if isinstance(error, (*_SENTENCES, CommandError)):
        return 1, str(error)
    if isinstance(error, (sqlalchemy.exc.OperationalError, psycopg.OperationalError, *TRANSIENT_ERRORS)):
        cause = getattr(error, "orig", None) or error
        return 1, f"The database does not answer: {str(cause).strip()} Check RAS_DATABASE_URL."
    if isinstance(getattr(error, "orig", error), psycopg.errors.UndefinedTable):
        return 1, (
            "A table of RAS is gone from the database. If a backup is being restored, stop all roles first and "
            "start them when it is done."
        )
    if isinstance(error, KafkaError):
        return 1, f"Kafka does not answer: {error}. Check RAS_KAFKA_BOOTSTRAP_SERVERS."
    return 1, None
