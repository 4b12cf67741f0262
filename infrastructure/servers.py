"""Where the servers are that a process works with."""

from __future__ import annotations

from dataclasses import dataclass

from infrastructure.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and Kafka are."""

    database_url: str
    bootstrap_servers: str


def servers_from(settings: Settings, *, kafka: bool = True) -> Servers:
    """Return the servers that `settings` names, or raise SettingsError."""
    if settings.database_url is None:
        raise SettingsError("RAS_DATABASE_URL is not set. `ras up` and `ras demo` bring their own servers.")
    if kafka and settings.kafka_bootstrap_servers is None:
        raise SettingsError(
            "RAS_KAFKA_BOOTSTRAP_SERVERS is not set. `ras up` and `ras demo` bring their own servers."
        )
    return Servers(settings.database_url, settings.kafka_bootstrap_servers or "")
