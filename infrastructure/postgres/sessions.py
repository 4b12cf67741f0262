"""What every session sets for itself, so that the settings of a server, database or role change nothing.

A DBA may set anything by ALTER SYSTEM, ALTER DATABASE … SET or ALTER ROLE … SET: a date style that the driver
cannot read, a statement time-out shorter than a rebuild. Each session sets what RAS depends on right after it
has connected, by one query. It does not use the `options` of the start packet: PgBouncer refuses them.

Two things are left as they are. `default_transaction_read_only` is a guard that somebody has put up; the writers
report it. `synchronous_commit` is only raised from `off`, because an event that was published and is lost in a
crash afterwards cannot be taken back. Sessions that only write what is derived lower it themselves.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self, TypeVar

import psycopg
from psycopg import sql
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import _WaitTimeout
from psycopg.rows import Row

from infrastructure.postgres import faults

_Result = TypeVar("_Result")

CONNECT_TIMEOUT_S: Final = 5
ANSWER_TIMEOUT_S: Final = 15.0
"""How long a role waits for one answer. Then the connection counts as dead, whatever the sockets report."""

_TRANSPORT: Final = {
    "connect_timeout": str(CONNECT_TIMEOUT_S),
    # libpq's defaults wait two hours before they probe an idle connection, and fifteen minutes for data that
    # nobody acknowledges. With these a host that vanished is noticed within eleven seconds.
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_FORMATS: Final = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "search_path": "pg_catalog",  # all names in RAS's SQL have their schema
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    # The writers' lock orders nothing under a snapshot that is older than the lock.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
_SINCE: Final = {"idle_session_timeout": 140_000, "transaction_timeout": 170_000}
"""Settings that older servers do not know."""
_RAISE_DURABILITY: Final = sql.SQL(
    ", CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"
)


class Limits(NamedTuple):
    """Time limits of a session in seconds, 0 for none: of the server, and of this side for one answer."""

    statement_s: float = 0
    lock_s: float = 0
    idle_in_transaction_s: float = 0
    transaction_s: float = 0
    answer_s: float | None = None


UNLIMITED: Final = Limits()
"""For commands that work for minutes: rebuild, check, init. A person is there to end them."""
ROLE_LIMITS: Final = Limits(
    # Shorter than the answer's: a slow server then reports what was slow, and the connection can be kept.
    statement_s=12,
    lock_s=10,
    idle_in_transaction_s=30,
    transaction_s=60,
    answer_s=ANSWER_TIMEOUT_S,
)

READ_LIMITS: Final = ROLE_LIMITS._replace(statement_s=5, answer_s=8)
"""For answers that a client waits for."""


def parameters_of(database_url: str) -> dict[str, Any]:
    """Return libpq's parameters: those of `database_url`, and ours where it names none."""
    given = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    return _TRANSPORT | given


def session_settings(server_version: int, limits: Limits, *, local: bool = False) -> sql.Composed:
    """Return the query that sets up a session, or with `local` a transaction.

    `server_version` is libpq's number.
    """
    settings = _FORMATS | {
        "statement_timeout": _ms(limits.statement_s),
        "lock_timeout": _ms(limits.lock_s),
        "idle_in_transaction_session_timeout": _ms(limits.idle_in_transaction_s),
        "transaction_timeout": _ms(limits.transaction_s),
        "idle_session_timeout": "0",
    }
    # A pooler tells its clients apart by client_encoding, and sets it itself.
    known = {
        name: value
        for name, value in settings.items()
        if _SINCE.get(name, 0) <= server_version and not (local and name == "client_encoding")
    }
    return sql.SQL("SELECT {}{}").format(
        sql.SQL(", ").join(
            sql.SQL("set_config({}, {}, {})").format(*map(sql.Literal, (name, value, local)))
            for name, value in known.items()
        ),
        sql.SQL("") if local else _RAISE_DURABILITY,
    )


class Connection(psycopg.Connection[Row]):
    """A blocking connection that gives up on an answer after `limits.answer_s`."""

    limits: Limits = UNLIMITED

    @classmethod
    def connect(cls, *args: Any, **settings: Any) -> Self:  # whatever psycopg takes
        """Connect as psycopg does, and note what came of it: a pool's own error does not tell."""
        try:
            connection = super().connect(*args, **settings)
        except psycopg.Error as error:
            faults.note_connection(error)
            raise
        faults.note_connection(None)
        return connection

    def set_up(self, limits: Limits) -> Self:
        """Make the session settings, in autocommit mode."""
        self.limits = limits
        self.autocommit = True
        self.execute(session_settings(self.info.server_version, limits))
        return self

    def wait(self, gen: PQGen[_Result], interval: float = 0.1, timeout: float | None = None) -> _Result:
        """Wait as psycopg does. Raises OperationalError at the time limit; the connection is closed then."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.limits.answer_s)
        except _WaitTimeout:
            self.pgconn.finish()
            raise _unanswered(self.limits) from None


class AsyncConnection(psycopg.AsyncConnection[Row]):
    """A connection that gives up on an answer after `limits.answer_s`."""

    limits: Limits = UNLIMITED

    async def set_up(self, limits: Limits) -> Self:
        """Make the session settings, in autocommit mode."""
        self.limits = limits
        await self.set_autocommit(True)
        await self.execute(session_settings(self.info.server_version, limits))
        return self

    async def wait(  # psycopg has `timeout` too
        self,
        gen: PQGen[_Result],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> _Result:
        """Wait as psycopg does. Raises OperationalError at the time limit; the connection is closed then."""
        if timeout is not None:
            return await super().wait(gen, interval, timeout)
        try:
            return await super().wait(gen, interval, self.limits.answer_s)
        except _WaitTimeout:
            self.pgconn.finish()
            raise _unanswered(self.limits) from None


def _unanswered(limits: Limits) -> psycopg.OperationalError:
    return psycopg.OperationalError(
        f"no answer within {limits.answer_s:g} s although the connection is open: a firewall, a proxy or a server "
        "that hangs; a new connection is opened"
    )


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))
