"""Where the servers are that commands work with: those of the settings, or those of the `ras up` that runs.

`ras up` notes its servers in RAS_HOME as long as it runs, readable by its user alone (the URL holds the
password of the embedded database), so that `ras status` in another terminal finds them. It holds a lock on the
note meanwhile: the lock ends with the process, however that ends, while a process id may be another program's by now.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.input_files import open_input
from infrastructure.settings import Servers, Settings, SettingsError, servers_from

_NOTE: Final = "running.json"
_HINT: Final = "set it, or set RAS_HOME to the folder that `ras up` uses."


class _Note(BaseModel):
    model_config = ConfigDict(strict=True)

    pid: int
    database_url: str
    kafka: str
    embedded_kafka: bool
    api: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The servers of a `ras up`, whether Kafka is the broker that it brings, its process, and where its API is."""

    servers: Servers
    embedded_kafka: bool
    pid: int = field(default=0, compare=False)
    api: str = field(default="", compare=False)


@contextlib.contextmanager
def noted(home: Path, servers: Servers, *, embedded_kafka: bool, api: str = "") -> Iterator[None]:
    """Keep the note while the block runs."""
    note = home / _NOTE
    draft = home / f"{_NOTE}.{os.getpid()}"
    content = _Note(
        pid=os.getpid(),
        database_url=servers.database_url,
        kafka=servers.bootstrap_servers,
        embedded_kafka=embedded_kafka,
        api=api,
    )
    draft.touch(mode=0o600)
    with draft.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(content.model_dump_json())
        lock.flush()
        draft.replace(note)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def servers_to_look_at(settings: Settings) -> Servers:
    """Return the servers of `settings`, else those of the `ras up` that runs in RAS_HOME.

    Kafka's address is empty where only the database is known. Raises SettingsError where not even that is.
    """
    up = running(settings.home)
    if settings.database_url is None:
        if up is None:
            raise SettingsError(
                f"RAS_DATABASE_URL is not set, and no `ras up` runs on the data in {settings.home}: {_HINT}"
            )
        return Servers(
            up.servers.database_url, settings.kafka_bootstrap_servers or up.servers.bootstrap_servers
        )
    servers = servers_from(settings, kafka=False)
    if not servers.bootstrap_servers and up is not None and up.servers.database_url == servers.database_url:
        return up.servers
    return servers


def kafka_to_send_to(settings: Settings) -> tuple[str, Running | None]:
    """Return Kafka's address, that of `settings` or of the `ras up` that runs in RAS_HOME, and the latter if it is its.

    Raises SettingsError where none is known.
    """
    up = running(settings.home)
    address = settings.kafka_bootstrap_servers or (up.servers.bootstrap_servers if up else "")
    if not address:
        raise SettingsError(
            f"RAS_KAFKA_BOOTSTRAP_SERVERS is not set, and no `ras up` runs on the data in {settings.home}: {_HINT}"
        )
    return address, up if up is not None and up.servers.bootstrap_servers == address else None


def running(home: Path) -> Running | None:
    """Return what the note says, None where there is none, or none of ours, or its writer is gone."""
    try:
        with open_input(home / _NOTE) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                note = _Note.model_validate_json(lock.read())
                if note.embedded_kafka:
                    # Not for commands without Kafka.
                    from infrastructure.kafka import clients

                    clients.has_no_security(note.kafka)
                return Running(
                    Servers(note.database_url, note.kafka), note.embedded_kafka, note.pid, note.api
                )
    except (OSError, ValidationError):
        pass
    return None
