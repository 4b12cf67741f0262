"""A whole check in a process of its own, for processes that serve requests meanwhile.

A whole check folds every stream in Python. On a thread it would take the interpreter from the event loop that
answers queries, and a thread cannot be cancelled. So the order comes in a line of JSON on standard input, and on
standard output come lines of JSON: `{"progress": [what, done, total]}`, and at the end `{"report": …}` or
`{"fault": sentence}`. When standard input ends, so does the check, at once: anyone who asked has gone. Nothing is
left behind: what a check keeps it writes last, and the server ends the statements of a client that is unavailable.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any, Final

import orjson
import psycopg
import sqlalchemy.exc
import structlog
from aiokafka.errors import KafkaError

from infrastructure.check.check import CheckUnderWayError, check
from infrastructure.postgres import faults, schema_version
from infrastructure.postgres.schema_version import SchemaVersionError
from infrastructure.settings import Servers
from infrastructure.telemetry import configure_logging

_log = structlog.get_logger(__name__)

_LESS_URGENT: Final = 10
"""Niceness (0 to 19): anyone who answers queries on this machine goes first."""


def main() -> None:
    """Do what standard input orders."""
    order = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_caller, daemon=True).start()
    os.nice(_LESS_URGENT)
    configure_logging(order["log_level"], order["log_format"])
    servers = Servers(order["database_url"], order["bootstrap_servers"])
    _say(_outcome(servers, order["transactional_id"]))


def _outcome(servers: Servers, transactional_id: str) -> dict[str, Any]:
    try:
        schema_version.check(servers.database_url)
        report = asyncio.run(check(servers, transactional_id, incremental=False, progress=_tell))
    except (CheckUnderWayError, SchemaVersionError) as error:
        return {"fault": str(error)}
    except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
        return {"fault": f"{faults.public_sentence(error)} Check again later."}
    except KafkaError as error:
        return {"fault": f"Kafka: {type(error).__name__}. Check again later; `ras check` names the reason."}
    except Exception:  # noqa: BLE001 - whatever it is, the caller gets it
        _log.exception("check.fault")
        return {"fault": "Something went wrong here; the log of this process says what."}
    return {"report": report.as_json()}


def _tell(what: str, done: int, total: int) -> None:
    _say({"progress": [what, done, total]})


def _say(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_the_caller() -> None:
    # From the file descriptor: a buffered reader's lock would be in the way of the interpreter's own end.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
