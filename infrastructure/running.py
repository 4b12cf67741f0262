"""Where the servers are that commands look at: those of the settings, or those of the `ras up` that runs.

`ras up` notes its servers in RAS_HOME as long as it runs, readable by its user alone (the URL holds the
password of the embedded database), so that `ras status` in another terminal finds them.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from infrastructure.servers import Servers, servers_from
from infrastructure.settings import Settings, SettingsError

_NOTE: Final = "running.json"


@contextlib.contextmanager
def noted(home: Path, servers: Servers) -> Iterator[None]:
    """Keep the note while the block runs."""
    note = home / _NOTE
    draft = home / f"{_NOTE}.{os.getpid()}"
    content = {"pid": os.getpid(), "database_url": servers.database_url, "kafka": servers.bootstrap_servers}
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def servers_to_look_at(settings: Settings) -> Servers:
    """Return the servers of `settings`, else those of the `ras up` that runs in RAS_HOME.

    Kafka's address is empty where only the database is known. Raises SettingsError where not even that is.
    """
    running = _running(settings.home)
    if settings.database_url is None:
        if running is None:
            raise SettingsError(
                f"RAS_DATABASE_URL is not set, and no `ras up` runs on the data in {settings.home}: set it, or "
                "set RAS_HOME to the folder that `ras up` uses."
            )
        return Servers(running.database_url, settings.kafka_bootstrap_servers or running.bootstrap_servers)
    servers = servers_from(settings, kafka=False)
    if not servers.bootstrap_servers and running is not None and running.database_url == servers.database_url:
        return running
    return servers


def _running(home: Path) -> Servers | None:
    """Return what the note says, None where there is none or its writer is gone."""
    try:
        note = json.loads((home / _NOTE).read_text(encoding="utf-8"))
        os.kill(note["pid"], 0)
    except (OSError, ValueError):
        return None
    return Servers(note["database_url"], note["kafka"])
