"""What an operator reads about a fault of PostgreSQL: one table from error codes to sentences.

Each sentence names what went wrong, where, and what to do. The key is the SQLSTATE, or its first two characters for
a whole class (PostgreSQL's manual, appendix A); the longer key takes precedence. A connection that could not be
opened has no SQLSTATE: libpq has only the server's words for it, and those are searched.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import psycopg

from infrastructure.errors import causes


class Fault(NamedTuple):
    """What went wrong, without the names of hosts and people; and what to do.

    `is_ours` is set where the statement itself is at fault: no waiting and no setting of a server mends that.
    """

    what: str
    do: str
    is_ours: bool = False


_ITSELF: Final = "RAS tries again by itself; nothing is lost."
_URL: Final = "Check RAS_DATABASE_URL, and that the server runs."
_REPORT: Final = "Please report this with the log."

_NO_ANSWER: Final = Fault("The database does not answer", _URL)
_LOST: Final = Fault("The connection to the database was lost", _ITSELF)
_REFUSED: Final = Fault(
    "PostgreSQL refuses the connection", "Check RAS_DATABASE_URL, and pg_hba.conf of the server."
)
_CREDENTIALS: Final = Fault(
    "PostgreSQL rejects the user or the password",
    "Check the user and the password in RAS_DATABASE_URL, and pg_hba.conf of the server.",
)
_NO_DATABASE: Final = Fault(
    "The database does not exist",
    "Create it, or name another one in RAS_DATABASE_URL; then run `ras init`.",
)
_FULL: Final = Fault(
    "PostgreSQL has no free connection",
    f"Raise max_connections or the limit of the user or database, or use a pooler. {_ITSELF}",
)
_BUSY: Final = Fault("All connections of RAS are busy", _ITSELF)
_STARTING: Final = Fault("PostgreSQL is starting, stopping or recovering", _ITSELF)
_READ_ONLY: Final = Fault(
    "The database takes no writes",
    "RAS_DATABASE_URL must name the primary (`host=a,b target_session_attrs=read-write` finds it), and a user whose "
    "transactions may write.",
)
_TIME: Final = Fault(
    "PostgreSQL ended a statement or a session at a time limit",
    f"Look for a slow disk, missing statistics or a long transaction in pg_stat_activity. {_ITSELF}",
)
_LOCKED: Final = Fault(
    "Another session holds a lock",
    f"Find it in pg_locks and pg_stat_activity; it may be maintenance or an open transaction. {_ITSELF}",
)
_ENDED: Final = Fault("PostgreSQL ended the session", _ITSELF)
_TABLES: Final = Fault(
    "A table of RAS is gone, or is not as this release needs it",
    "Run `ras init` (with `--upgrade` after an update). If a backup is being restored, stop all roles first and start "
    "them when it is done.",
)
_STATEMENT: Final = Fault("PostgreSQL refuses a statement of RAS", _REPORT, is_ours=True)
_VALUE: Final = Fault("PostgreSQL refuses a value", _REPORT, is_ours=True)
_RULE: Final = Fault(
    "A constraint, rule or trigger of the database refuses a row",
    "Remove those that are not RAS's own from its tables; otherwise please report this with the log.",
    is_ours=True,
)
_TRIGGER: Final = Fault(
    "A function or trigger of the database failed",
    "RAS has none: remove it from RAS's tables, or repair it.",
)
_SCHEMA: Final = Fault("The table of another program is in the way", "Give RAS a database of its own.")
_FOREIGN: Final = Fault("A foreign server failed", "RAS uses none: give RAS tables of its own.")

_TABLE: Final[dict[str, Fault]] = {
    "02": _STATEMENT,
    "03": _STATEMENT,
    "08": _LOST,
    "08004": _REFUSED,
    "09": _TRIGGER,
    "0A": Fault(
        "PostgreSQL does not know what RAS asks for",
        "RAS is tested on PostgreSQL 15 and 18: use one of them.",
    ),
    "0B": _STATEMENT,
    "0F": _STATEMENT,
    "0L": Fault("The database user lacks a privilege", "Grant it; docs/operations.md lists them."),
    "0P": Fault("A database role does not exist", "Create it, or name another one in RAS_DATABASE_URL."),
    "0Z": _TRIGGER,
    "10": _STATEMENT,
    "20": _STATEMENT,
    "21": _STATEMENT,
    "22": _VALUE,
    "23": _RULE,
    "24": _STATEMENT,
    "25": _STATEMENT,
    "25006": _READ_ONLY,
    "25P03": _TIME,
    "25P04": _TIME,
    "26": Fault(
        "The connection has lost its prepared statements",
        "A pooler in transaction mode needs RAS_DATABASE_DIRECT_URL (docs/operations.md).",
    ),
    "27": _TRIGGER,
    "28": _CREDENTIALS,
    "2B": _STATEMENT,
    "2D": _STATEMENT,
    "2F": _TRIGGER,
    "34": _STATEMENT,
    "38": _TRIGGER,
    "39": _TRIGGER,
    "3B": _STATEMENT,
    "3D": _NO_DATABASE,
    "3F": _TABLES,
    "40": Fault("PostgreSQL rolled a transaction back in favour of another one", _ITSELF),
    "40003": _LOST,
    "42": _STATEMENT,
    "42501": Fault(
        "The database user lacks a privilege",
        "RAS_DATABASE_URL must name a member of the role that `ras init --grants` creates for this, or the owner; "
        "`ras init` and `ras rebuild` need the owner.",
    ),
    "42703": _TABLES,
    "42704": _TABLES,
    "42883": _TABLES,
    "42P01": _TABLES,
    "42P05": Fault(
        "The connection holds the prepared statements of another one",
        "A pooler in transaction mode needs RAS_DATABASE_DIRECT_URL (docs/operations.md).",
    ),
    "42P06": _SCHEMA,
    "42P07": _SCHEMA,
    "42710": _SCHEMA,
    "42723": _SCHEMA,
    "44": _RULE,
    "53": Fault("PostgreSQL lacks resources", f"Look at its log, memory and disks. {_ITSELF}"),
    "53100": Fault("The disk of PostgreSQL is full", f"Make room. {_ITSELF}"),
    "53200": Fault("PostgreSQL is out of memory", f"Give it memory, or lower its work_mem. {_ITSELF}"),
    "53300": _FULL,
    "54": Fault("A value or statement is larger than PostgreSQL allows", _REPORT, is_ours=True),
    "55": Fault("PostgreSQL cannot do this in its present state", _ITSELF),
    "55P03": _LOCKED,
    "57": _ENDED,
    "57014": _TIME,
    "57P03": _STARTING,
    "57P04": _NO_DATABASE,
    "57P05": _TIME,
    "58": Fault(
        "PostgreSQL met an error of its system or disk", f"Look at the server's log and disks. {_ITSELF}"
    ),
    "72": Fault("The transaction is too old for PostgreSQL", _ITSELF),
    "F0": Fault("PostgreSQL's configuration is at fault", "Look at the server's log."),
    "HV": _FOREIGN,
    "P0": _TRIGGER,
    "XX": Fault(
        "PostgreSQL reports an error inside itself", "Look at the server's log; its files may be damaged."
    ),
}

_REFUSAL_MARK: Final = "FATAL"
_REFUSALS: Final[tuple[tuple[tuple[str, ...], Fault], ...]] = (
    (
        ("too many clients", "connection slots", "too many connections", "no more connections allowed"),
        _FULL,
    ),
    (("starting up", "shutting down", "recovery", "not yet accepting connections"), _STARTING),
    (("server login has been failing", "server_login_retry", "query_wait_timeout"), _NO_ANSWER),
    (("authentication", "pg_hba.conf", "password", "role ", "no such user"), _CREDENTIALS),
    (("database ",), _NO_DATABASE),
)
"""Words of a server or pooler that refuses a connection."""
_FAILURES: Final[tuple[tuple[tuple[str, ...], Fault], ...]] = (
    (("closed the connection", "connection is lost", "connection has been closed", "SYSCALL"), _LOST),
    (
        ("session is read-only", "session is not read-only", "in hot standby"),
        Fault(
            "No server of RAS_DATABASE_URL is as target_session_attrs asks",
            f"Name the primary among its hosts. {_ITSELF}",
        ),
    ),
    (
        ("certificate", "SSL", "ssl"),
        Fault(
            "TLS with PostgreSQL failed",
            "Compare sslmode, sslrootcert, sslcert and the host name in RAS_DATABASE_URL with the server's certificate.",
        ),
    ),
    (("couldn't get a connection", "every connection is busy"), _BUSY),
)
"""Words of libpq, psycopg or RAS where no connection came about, or it ended."""

_OF_LIBRARIES: Final = {
    ("eventsourcing", "OperationalError"): _NO_ANSWER,
    ("eventsourcing", "InterfaceError"): _LOST,
    ("eventsourcing", "InternalError"): _LOST,
    ("sqlalchemy", "TimeoutError"): _BUSY,
}
"""Errors of the libraries around the driver, where none of the driver's is behind them."""

_last_refusal: list[psycopg.Error] = []
"""What the last attempt to open a connection met; nothing while it worked. A pool only says that it has waited."""


def driver_error(error: BaseException) -> psycopg.Error | None:
    """Return the driver's error in or behind `error`, which a library may have wrapped; None if there is none."""
    return next((cause for cause in causes(error) if isinstance(cause, psycopg.Error)), None)


def fault_of(error: BaseException) -> Fault | None:
    """Return the row of the table for `error`; None if it is a fault of our own, or not of a database."""
    found = driver_error(error)
    if found is None:
        return _OF_LIBRARIES.get((type(error).__module__.split(".")[0], type(error).__name__))
    if found.sqlstate:
        return _TABLE.get(found.sqlstate) or _TABLE.get(found.sqlstate[:2], _STATEMENT)
    if isinstance(found, psycopg.InterfaceError):
        return _LOST
    return _of_connection(found) if isinstance(found, psycopg.OperationalError) else None


def sentence(error: BaseException) -> str:
    """Return what to tell an operator about `error` of the database."""
    found = fault_of(error) or _STATEMENT
    cause = _cause(error)
    place = _place(cause)
    return f"{found.what}{f' ({place})' if place else ''}: {_said(cause)}. {found.do}"


def public_sentence(error: BaseException) -> str:
    """Return the same for everybody: the driver's own words would tell hosts and names."""
    return f"{(fault_of(error) or _STATEMENT).what} ({type(_cause(error)).__name__})."


def note_connection(error: psycopg.Error | None) -> None:
    """Note what an attempt to open a connection met, None if it worked."""
    _last_refusal[:] = [] if error is None else [error]


def _of_connection(error: psycopg.OperationalError) -> Fault:
    said = str(_cause(error))
    is_refusal = _REFUSAL_MARK in said
    for words, found in _REFUSALS if is_refusal else _FAILURES:
        if any(word in said for word in words):
            return found
    return _REFUSED if is_refusal else _NO_ANSWER


def _cause(error: BaseException) -> BaseException:
    found = driver_error(error) or error
    is_wait = type(found).__module__.startswith("psycopg_pool")
    return _last_refusal[-1] if is_wait and _last_refusal else found


def _place(error: BaseException) -> str:
    if not isinstance(error, psycopg.Error):
        return ""
    told = error.diag
    return ".".join(
        filter(None, (told.schema_name, told.table_name, told.column_name or told.constraint_name))
    )


def _said(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".")
