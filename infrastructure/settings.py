"""Settings: from `RAS_*` variables or a `.env` file, checked once at the start.

A value that makes no sense stops the start with a sentence; nothing falls back silently.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from infrastructure import addresses
from infrastructure.errors import OperatorError
from infrastructure.input_files import require_file
from infrastructure.kafka_settings import KafkaSettings
from infrastructure.secret_files import SUFFIX, SecretFileError, settings_with_files
from infrastructure.unknown_settings import unknown_settings

DEMO_API_KEY = "ras-demo-key"
DEMO_ENVIRONMENT = "demo"
_SHORTEST_SECRET = 32

_ADDRESSES = {
    "database_url": addresses.database_url,
    "database_direct_url": addresses.database_url,
    "database_write_url": addresses.database_url,
    "kafka_bootstrap_servers": addresses.kafka_servers,
    "assessments_url": addresses.web_address,
    "orchestrator_url": addresses.web_address,
}


class SettingsError(OperatorError):
    """The settings make no sense; the text says which and what to do."""

    exit_code = 2


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(KafkaSettings):
    """Everything an operator can set. Times are in seconds, sizes in the unit of the name."""

    database_url: str | None = Field(None, description="PostgreSQL; embedded when not set")
    database_direct_url: str | None = Field(
        None, description="PostgreSQL itself, where RAS_DATABASE_URL leads to a pooler in transaction mode"
    )
    database_write_url: str | None = Field(
        None,
        description="what the query API records, as another user: for RAS_DATABASE_URL with role ras_serve",
    )
    kafka_bootstrap_servers: str | None = Field(None, description="Kafka; embedded when not set")
    home: Path = Field(Path(".ras"), description="data of the embedded servers")

    api_host: str = Field("127.0.0.1", min_length=1)
    api_port: int = Field(4003, ge=0, le=65535, description="0 takes any free port")
    assessments_port: int = Field(4004, ge=0, le=65535, description="0 takes any free port")
    assessments_url: str | None = Field(None, description="the assessment app; none when not set")
    assessments_deadline_s: float = Field(
        2.0, gt=0, le=30, description="for asking the assessment app, retries included"
    )
    assessments_pause_s: float = Field(
        5.0, gt=0, le=600, description="how long it is left alone after repeated failures"
    )
    assessments_max_bytes: int = Field(8_000_000, ge=1024, description="of one answer of the assessment app")
    next_pairs_random_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="of the pairs that RAS proposes to judge next, so that a session can prove itself",
    )
    name_locale: str = Field(
        "", max_length=35, description="the language by which names of judges are sorted, such as sv"
    )
    orchestrator_url: str | None = Field(
        None, description="asked about batches that are not registered here; nobody is when not set"
    )
    orchestrator_deadline_s: float = Field(
        2.0, gt=0, le=30, description="for asking the orchestrator, retries included"
    )
    orchestrator_pause_s: float = Field(
        5.0, gt=0, le=600, description="how long it is left alone after repeated failures"
    )
    orchestrator_kept_s: float = Field(
        2.0, ge=0, le=60, description="how long what it says of a batch is kept"
    )
    longest_wait_s: float = Field(
        30.0, ge=0, le=600, description="how long a request may wait by ?wait=, Prefer: wait, ?after="
    )
    http_deadline_s: float = Field(
        15.0, gt=0, le=600, description="how long a client may take to send a request, or to go on reading"
    )
    http_keep_alive_s: int = Field(
        130,
        ge=1,
        le=3600,
        description="how long a connection without a request stays open: longer than a proxy's",
    )
    http_max_connections: int = Field(10_000, ge=1, le=1_000_000, description="of one process")
    health_port: int | None = Field(
        None, ge=0, le=65535, description="health and metrics of a role without API"
    )
    internal_api_key: SecretStr | None = Field(None, description="the key that callers of the API must send")
    internal_api_key_secondary: SecretStr | None = Field(
        None, description="accepted as well, while callers change from one key to the other"
    )
    assessments_api_key: SecretStr | None = Field(
        None, description="what RAS sends to the assessment app; RAS_INTERNAL_API_KEY when not set"
    )
    service_keys_file: Path | None = Field(None, description="hashed keys and scopes of each service, TOML")
    allowed_services: Annotated[tuple[str, ...], NoDecode] = (
        "api-gateway-service",
        "admin-dashboard-service",
        "bff-teacher-service",
        "ai-feedback-service",
    )
    operator_services: Annotated[tuple[str, ...], NoDecode] = ("admin-dashboard-service",)
    assessments_allowed_services: Annotated[tuple[str, ...], NoDecode] = (
        "result_aggregator_service",
        "api-gateway-service",
        "admin-dashboard-service",
        "bff-teacher-service",
    )
    environment: str = "development"

    jwt_secret: SecretStr | None = Field(
        None, description="verifies users' tokens by HS256; 32 bytes or more"
    )
    jwt_jwks: str | None = Field(
        None, description="file or address of the keys that verify users' tokens by RS256 or ES256"
    )
    jwt_audience: str = Field("huleedu-platform", min_length=1)
    jwt_issuer: str = Field("huleedu-identity-service", min_length=1)
    jwt_leeway_s: float = Field(10.0, ge=0, le=300, description="how far clocks may differ")
    jwt_roles_claim: str = Field("roles", min_length=1, description="the claim that names operator, examiner")
    oidc_issuer: str | None = Field(
        None, description="identity provider at which people sign in to the pages (OpenID Connect)"
    )
    oidc_client_id: str | None = Field(None, description="RAS's client id there")
    oidc_client_secret: SecretStr | None = Field(None, description="none for a public client; PKCE always")
    oidc_scope: str = Field("openid", pattern=r"^(.* )?openid( .*)?$")
    oidc_subject_claim: str = Field("sub", min_length=1, description="the claim that is the teacher's id")
    oidc_redirect_url: str | None = Field(
        None, description="as registered there: this server's own address and /sign-in/openid/callback"
    )
    session_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="sign sessions and tickets, the newest first; made at each start when not set"
    )
    streams_per_teacher: int = Field(
        20, ge=1, le=10_000, description="live streams of one teacher in a process"
    )
    stream_heartbeat_s: float = Field(
        15.0, ge=1, le=20, description="between two heartbeats of a live stream; a dead peer is found in 45 s"
    )
    sign_in_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="other sites whose pages may sign people in with a token: https://portal.school.se"
    )

    consumer_group: str = Field("ras-ingester", min_length=1)
    batch_max_messages: int = Field(1000, ge=1, le=100_000, description="messages in one transaction")
    batch_max_bytes: int = Field(
        8_000_000, ge=1024, le=2**31 - 1, description="bytes of values in one transaction"
    )
    cache_max_essays: int = Field(
        400_000, ge=0, description="essays of open batches and judges' answers of open jobs kept in memory"
    )
    ingest_processes: int = Field(
        default_factory=lambda: min(4, _cores()),
        ge=1,
        le=64,
        description="processes in a backlog: one fetches and writes, the others read messages and decide on them",
    )
    future_tolerance_days: int = Field(
        365, ge=0, le=36_500, description="how far ahead a message's time may lie"
    )
    progress_notifications: bool = Field(
        True, description="tell teachers how their batches stand (batch_status_updated)"
    )
    accept_offset_gaps: bool = Field(
        False,
        description="go on where Kafka no longer has, or does not yet have, the message after the stored position",
    )

    transactional_id: str = Field("ras-publisher", min_length=1)
    publish_max_events: int = Field(4000, ge=1, le=100_000, description="events in one Kafka transaction")
    publish_timeout_s: float = Field(
        30.0,
        ge=1,
        le=600,
        description="how long Kafka may take over one transaction before it counts as away",
    )
    project_max_events: int = Field(
        2000, ge=1, le=100_000, description="events in one projection transaction"
    )
    poll_interval_s: float = Field(
        1.0, gt=0, le=60, description="how often followers look without being notified"
    )
    retry_initial_s: float = Field(0.1, gt=0, le=60)
    retry_max_s: float = Field(15.0, gt=0, le=3600)
    shutdown_timeout_s: float = Field(20.0, gt=0, le=600)

    log_level: str = "info"
    log_format: str = Field("auto", pattern="^(auto|json|text)$")

    @field_validator(
        "allowed_services",
        "operator_services",
        "assessments_allowed_services",
        "sign_in_origins",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("session_keys", mode="before")
    @classmethod
    def _split_secrets(cls, value: object) -> object:
        return (
            tuple(part.strip() for line in value.splitlines() for part in line.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("jwt_secret", "session_keys")
    @classmethod
    def _long_enough(cls, value: SecretStr | tuple[SecretStr, ...] | None) -> object:
        given = value if isinstance(value, tuple) else () if value is None else (value,)
        # RFC 7518, section 3.2: a key as long as the hash, or it can be guessed.
        if any(len(each.get_secret_value().encode()) < _SHORTEST_SECRET for each in given):
            raise ValueError(
                f"must have {_SHORTEST_SECRET} bytes or more: `openssl rand -base64 48` makes one"
            )
        return value

    @field_validator("home", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():
            raise ValueError("must name a folder")  # empty, it would be whatever folder the command runs in
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError("must be debug, info, warning or error")
        return value.lower()

    @field_validator(
        "database_url",
        "database_direct_url",
        "database_write_url",
        "kafka_bootstrap_servers",
        "assessments_url",
        "orchestrator_url",
    )
    @classmethod
    def _usable_address(cls, value: str | None, info: ValidationInfo) -> str | None:
        return None if value is None else _ADDRESSES[str(info.field_name)](value)

    @field_validator("internal_api_key", "internal_api_key_secondary", "assessments_api_key")
    @classmethod
    def _fits_in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        # Such a key is there, and no caller can send it (RFC 9110, section 5.5).
        if value is not None and not _is_header_text(value.get_secret_value()):
            raise ValueError(
                "must not begin or end with a blank, nor hold a line break: no header could carry it"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.retry_initial_s > self.retry_max_s:
            raise ValueError("RAS_RETRY_INITIAL_S must not be greater than RAS_RETRY_MAX_S")
        if self.jwt_secret is not None and self.jwt_jwks is not None:
            raise ValueError("RAS_JWT_SECRET and RAS_JWT_JWKS exclude each other: set one of them")
        if (self.oidc_issuer is None) != (self.oidc_client_id is None):
            raise ValueError("RAS_OIDC_ISSUER and RAS_OIDC_CLIENT_ID belong together: set both")
        if self.oidc_issuer is not None and not _is_safe_place(self.oidc_issuer):
            raise ValueError("RAS_OIDC_ISSUER must be an https:// address, or http:// on this machine")
        if not self.allowed_services:
            raise ValueError("RAS_ALLOWED_SERVICES must name at least one service")
        if not self.assessments_allowed_services:
            raise ValueError("RAS_ASSESSMENTS_ALLOWED_SERVICES must name at least one service")
        return self

    @property
    def future_tolerance(self) -> timedelta:
        """How long after its receipt a message's time may lie."""
        return timedelta(days=self.future_tolerance_days)

    def shared_api_key(self) -> SecretStr | None:
        """Return the key that services share, None where each has its own. Raises SettingsError without any key."""
        keys = {
            "RAS_INTERNAL_API_KEY": self.internal_api_key,
            "RAS_INTERNAL_API_KEY_SECONDARY": self.internal_api_key_secondary,
        }
        if not any(keys.values()) and self.service_keys_file is None:
            raise SettingsError(
                "RAS_INTERNAL_API_KEY is not set: choose a long random text, callers send it too. Or give each "
                "service its own key: RAS_SERVICE_KEYS_FILE."
            )
        for name, key in keys.items():
            is_public = key is not None and key.get_secret_value() == DEMO_API_KEY
            if is_public and self.environment != DEMO_ENVIRONMENT:
                raise SettingsError(f"{name} is the public key of the demo: choose another one.")
        return self.internal_api_key


def warnings() -> list[str]:
    """Return a sentence for each `RAS_*` variable, of the environment or of `.env`, that is not a setting."""
    given = [*os.environ, *dotenv_values(".env")]
    fields = Settings.model_fields
    known = [*fields, *(name + SUFFIX for name in settings_with_files(fields))]
    return list(unknown_settings(given, (f"RAS_{name}" for name in known)))


def _is_safe_place(url: str) -> bool:
    parts = urlsplit(url)
    is_here = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and is_here))


def _is_header_text(text: str) -> bool:
    return text.isprintable() and text == text.strip()


def load_settings() -> Settings:
    """Read the settings, or raise SettingsError with a sentence for each value that makes no sense."""
    try:
        # It is read several times, by libraries that would wait for a pipe; a folder of that name is theirs to skip.
        with suppress(FileNotFoundError, IsADirectoryError):
            require_file(".env")
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"The file .env cannot be read: {reason}.") from error
    except SecretFileError as error:
        raise SettingsError(str(error)) from error
    except ValidationError as error:
        sentences = []
        for problem in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            sentences.append(f"RAS_{name}: {message}" if name else message)
        raise SettingsError("; ".join(sentences)) from error


@dataclass(frozen=True, slots=True)
class Servers:
    """Where PostgreSQL and Kafka are."""

    database_url: str
    bootstrap_servers: str
    pooled_url: str | None = None
    """A pooler in transaction mode, for single statements that read."""
    write_url: str | None = None
    """For what the query API records; None: as everything else."""


def servers_from(settings: Settings, *, kafka: bool = True) -> Servers:
    """Return the servers that `settings` names, or raise SettingsError."""
    if settings.database_url is None:
        raise SettingsError("RAS_DATABASE_URL is not set. `ras up` and `ras demo` bring their own servers.")
    if kafka and settings.kafka_bootstrap_servers is None:
        raise SettingsError(
            "RAS_KAFKA_BOOTSTRAP_SERVERS is not set. `ras up` and `ras demo` bring their own servers."
        )
    return database_servers(settings.database_url, settings.kafka_bootstrap_servers or "", settings)


def database_servers(database_url: str, bootstrap_servers: str, settings: Settings) -> Servers:
    """Return the servers; RAS_DATABASE_DIRECT_URL is for all that needs a session, so for almost everything."""
    direct = settings.database_direct_url
    write = settings.database_write_url
    if direct is None:
        return Servers(database_url, bootstrap_servers, write_url=write)
    return Servers(direct, bootstrap_servers, pooled_url=database_url, write_url=write)
