"""All roles on one machine: servers where none are given, and a process for each role.

A role that is killed is started again, because nothing is lost by that. A role that ends by itself has
said why and needs a person: everything is stopped and the reason is shown. Roles end before the servers
they write to, in the order of the data's way, so that what was ingested is also published.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import httpx
import structlog

from infrastructure.eventstore.event_registry import event_codec
from infrastructure.eventstore.positions import back_to_the_end, forget_intake, read_position
from infrastructure.eventstore.publisher_position import publisher_position
from infrastructure.input_files import LARGEST_SETTINGS_BYTES, read_input
from infrastructure.intake.log_identity import MESSAGES_GONE
from infrastructure.kafka import clients
from infrastructure.kafka.topics import create_missing_topics, partitions_by_topic
from infrastructure.local.embedded_kafka import OVERRUN, EmbeddedKafka
from infrastructure.local.embedded_postgres import EmbeddedPostgres
from infrastructure.local.kafka_entrance import kafka_entrance
from infrastructure.local.processes import EmbeddedServerError, GuardedProcess, free_port, tail
from infrastructure.local.running_note import noted
from infrastructure.postgres import schema
from infrastructure.postgres.connections import connect_blocking
from infrastructure.rebuild.rebuild import Rebuilding
from infrastructure.roles.sockets import base_url, close, listening
from infrastructure.settings import Servers, Settings, SettingsError
from projections.catalogue import PROJECTIONS

_log = structlog.get_logger(__name__)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

ROLES: Final = ("ingest", "publish", "project", "serve-assessments", "serve")

_PORTS: Final = {"serve": "RAS_API_PORT", "serve-assessments": "RAS_ASSESSMENTS_PORT"}
"""The roles with an API, and the setting of its port."""

PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of loopback addresses: httpx would load the system's certificates, 0.15 s each time."""

_READY_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.1
_OUR_NAMES: Final = ("postgres", "logs", "running.json", "internal-api-key", "kafka-port")
_KILLED: Final = 128
"""A guard's exit code is 128 + n when signal n ended the process."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where everything is, once it is ready."""

    servers: Servers
    api: str
    assessments: str
    api_key: str
    session_key: str
    logs: Path
    roles: dict[str, _RoleProcess]
    embedded_kafka: bool

    def as_json(self) -> dict[str, str]:
        """Return what a script needs to use it."""
        return {
            "kafka": self.servers.bootstrap_servers,
            "database_url": self.servers.database_url,
            "api": self.api,
            "assessments": self.assessments,
            "internal_api_key": self.api_key,
            "logs": str(self.logs),
        }

    def addresses(self) -> Iterator[str]:
        """Yield where everything is; what may be longer than a line has a line of its own."""
        yield f"In a browser: {self.api}/docs"
        yield f"              {self.assessments}/docs"
        yield f"Kafka:        {self.servers.bootstrap_servers}"
        yield "PostgreSQL:"
        yield self.servers.database_url
        yield "Logs:"
        yield str(self.logs)

    async def supervise(self) -> None:
        """Start killed roles again until cancelled. Raises EmbeddedServerError when one ended by itself."""
        while True:
            await asyncio.sleep(_POLL_S)
            for role in self.roles.values():
                if (code := role.process.exit_code) is None:
                    continue
                if code <= _KILLED:
                    said = tail(role.log, lines=8)
                    overrun = self.embedded_kafka and MESSAGES_GONE in said
                    raise EmbeddedServerError(
                        f"`ras {role.name}` has ended with exit code {code}:\n{said}{OVERRUN if overrun else ''}"
                    )
                _log.warning("up.role_was_killed", role=role.name, signal=code - _KILLED)
                await role.start()


class _RoleProcess:
    """One role in a process of its own."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: dict[str, str],
        ready_url: str,
        log: Path,
        grace_s: float,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [sys.executable, "-m", "infrastructure.cli", name, *arguments]
        self._environment = environment
        self._ready_url = ready_url
        self._grace_s = grace_s
        self.process = self._spawned()

    def _spawned(self) -> GuardedProcess:
        return GuardedProcess(
            self._command,
            log=self.log,
            stop_signal=signal.SIGTERM,
            grace_s=self._grace_s,
            environment=self._environment,
        )

    async def start(self) -> None:
        """Start again after the process has ended."""
        self._command = self._command[:4]  # what was said for the first start only (a position) is done
        self.process = self._spawned()
        await self.ready()

    async def ready(self) -> None:
        """Return when the role says that it is ready. Raises EmbeddedServerError if it ends, or never is."""
        last_word = "it does not answer"
        deadline = time.monotonic() + _READY_DEADLINE_S
        async with httpx.AsyncClient(verify=PLAIN_HTTP) as client:
            while time.monotonic() < deadline:
                if (code := self.process.exit_code) is not None and code <= _KILLED:
                    raise EmbeddedServerError(
                        f"`ras {self.name}` ended with exit code {code}:\n{tail(self.log, lines=8)}"
                    )
                with contextlib.suppress(httpx.HTTPError):
                    answer = await client.get(self._ready_url)
                    if answer.status_code == httpx.codes.OK:
                        return
                    last_word = f"it says {answer.text[:500]}"
                await asyncio.sleep(_POLL_S)
        raise EmbeddedServerError(
            f"`ras {self.name}` was not ready after {_READY_DEADLINE_S:.0f} s, {last_word}\n"
            f"{tail(self.log, lines=8)}"
        )


@contextlib.asynccontextmanager
async def deployed(
    settings: Settings, home: Path, *, api_key: str | None = None
) -> AsyncIterator[Deployment]:
    """Run everything for as long as the block runs. Data of embedded servers is kept in `home`.

    Raises PortTakenError or SettingsError, before anything is started, where a port is not to be had.
    """
    _check_ports(settings)
    _make_private(_made(home))
    logs = _made(home / "logs")
    async with contextlib.AsyncExitStack() as stack:
        database_url = settings.database_direct_url or settings.database_url
        if database_url is None:
            postgres = EmbeddedPostgres(home / "postgres")
            stack.push_async_callback(asyncio.to_thread, postgres.stop)
            await _to_its_end(postgres.start)
            database_url = postgres.url
        if unfit := await _to_its_end(schema.initialise, database_url):
            # After an upgrade. Nobody is at work yet, so nobody has to ask for it.
            _log.info("up.rebuilding", read_models=list(unfit))
            await _to_its_end(_rebuild, database_url, unfit)
        publish_arguments: list[str] = []
        bootstrap_servers = settings.kafka_bootstrap_servers
        if bootstrap_servers is None:
            kafka = EmbeddedKafka(partitions_by_topic())
            stack.callback(kafka.stop)
            await _to_its_end(kafka.start)
            bootstrap_servers = await stack.enter_async_context(
                kafka_entrance(kafka.bootstrap_servers, home / "kafka-port")
            )
            clients.has_no_security(bootstrap_servers)
            published = await _to_its_end(_begin_with_empty_kafka, database_url, settings)
            publish_arguments = ["--resume-at", str(published)] if published else []
        else:
            await create_missing_topics(bootstrap_servers)
        servers = Servers(database_url, bootstrap_servers)
        embedded_kafka = settings.kafka_bootstrap_servers is None
        api = base_url(settings.api_host, settings.api_port or free_port())
        stack.enter_context(noted(home, servers, embedded_kafka=embedded_kafka, api=api))
        key = api_key or (
            settings.internal_api_key.get_secret_value() if settings.internal_api_key else kept_key(home)
        )
        deployment = Deployment(
            servers,
            api=api,
            assessments=base_url(settings.api_host, settings.assessments_port or free_port()),
            api_key=key,
            session_key=(
                settings.session_keys[0].get_secret_value()
                if settings.session_keys
                else secrets.token_urlsafe(48)
            ),
            logs=logs,
            roles={},
            embedded_kafka=embedded_kafka,
        )
        for name in ROLES:
            deployment.roles[name] = _role(
                name, publish_arguments if name == "publish" else [], deployment, settings
            )
        for names in (_PORTS, [name for name in ROLES if name not in _PORTS]):
            # Callbacks run in reverse order: the APIs answer until nothing changes any more.
            stack.push_async_callback(_stop, deployment, names)
        await asyncio.gather(*(role.ready() for role in deployment.roles.values()))
        yield deployment


def kept_key(home: Path) -> str:
    """Return the key of the last start in `home`, a new one at the first: what was pasted goes on working."""
    kept = home / "internal-api-key"
    try:
        if key := read_input(kept, most=LARGEST_SETTINGS_BYTES).decode("ascii").strip():
            return key
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII text"
        raise SettingsError(
            f"RAS_HOME: {kept} cannot be read: {reason}. Remove it to get a new key."
        ) from error
    key = secrets.token_urlsafe(32)
    kept.touch(mode=0o600)
    kept.write_text(key, encoding="ascii")
    return key


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"RAS_HOME: the folder {error.filename or folder} cannot be made: {error.strerror}. Name another one."
        ) from error
    return folder


def _make_private(home: Path) -> None:
    """Close a folder that an earlier release left open to others. One in which other things are stays as it is."""
    is_open = home.stat().st_mode & 0o077
    if is_open and all(entry.name.startswith(_OUR_NAMES) for entry in home.iterdir()):
        try:
            home.chmod(0o700)
        except PermissionError as error:
            raise SettingsError(
                f"RAS_HOME: the folder {home} is open to other users, and is not ours to close: {error.strerror}. "
                "Name another one."
            ) from error


def _check_ports(settings: Settings) -> None:
    """Refuse what the two APIs would fail at much later, when their servers are up and their log is a file."""
    if settings.api_port == settings.assessments_port != 0:
        raise SettingsError(f"RAS_API_PORT and RAS_ASSESSMENTS_PORT are both {settings.api_port}.")
    for role, port in (("serve", settings.api_port), ("serve-assessments", settings.assessments_port)):
        close(listening(settings.api_host, port, port_setting=_PORTS[role]))


async def _to_its_end(
    work: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
) -> _Result:
    """Run blocking `work` in a thread. Who is cancelled meanwhile still waits for it: a thread cannot be
    cancelled, and a server that comes up after everybody has left would not be stopped by anyone."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise


async def _stop(deployment: Deployment, names: Iterable[str]) -> None:
    """End some roles at the same time: each needs a second."""
    await asyncio.gather(*(asyncio.to_thread(deployment.roles[name].process.stop) for name in names))


def _role(name: str, arguments: list[str], deployment: Deployment, settings: Settings) -> _RoleProcess:
    environment = {
        "RAS_DATABASE_URL": deployment.servers.database_url,
        "RAS_KAFKA_BOOTSTRAP_SERVERS": deployment.servers.bootstrap_servers,
        # Of another database, it would receive events that belong into the embedded one.
        "RAS_DATABASE_WRITE_URL": (settings.database_url and settings.database_write_url) or "",
        "RAS_LOG_FORMAT": "json",
    }
    if deployment.embedded_kafka:
        environment["RAS_KAFKA_SECURITY_PROTOCOL"] = "PLAINTEXT"
    if name in _PORTS:
        address = deployment.api if name == "serve" else deployment.assessments
        environment[_PORTS[name]] = address.rpartition(":")[2]
        environment["RAS_ASSESSMENTS_URL"] = settings.assessments_url or deployment.assessments
        environment["RAS_INTERNAL_API_KEY"] = deployment.api_key
        environment["RAS_SESSION_KEYS"] = ",".join(
            dict.fromkeys(
                (deployment.session_key, *(each.get_secret_value() for each in settings.session_keys))
            )
        )
        environment["RAS_ENVIRONMENT"] = settings.environment
        environment["RAS_API_HOST"] = settings.api_host
    else:
        port = free_port()
        address = f"http://127.0.0.1:{port}"
        environment["RAS_HEALTH_PORT"] = str(port)
        environment["RAS_API_HOST"] = "127.0.0.1"
    # What is said here is not to be contradicted by a file that our own environment names.
    without_files = {f"{variable}_FILE": "" for variable in environment}
    return _RoleProcess(
        name,
        arguments,
        without_files | environment,
        f"{address}/healthz/ready",
        deployment.logs / f"{name}.log",
        settings.shutdown_timeout_s + 5,
    )


def _rebuild(database_url: str, names: Collection[str]) -> None:
    wanted = [projection for projection in PROJECTIONS if projection.name in names]
    Rebuilding(database_url, event_codec()).rebuild(wanted)


def _begin_with_empty_kafka(database_url: str, settings: Settings) -> int:
    """Forget positions in a Kafka that is gone, and return what was published to it.

    The embedded broker begins empty each time while the database remembers: without this, the ingester
    would wait for offsets that never come, and the publisher would say everything again.
    """
    with connect_blocking(database_url) as connection:
        # Two transactions, which need not be one. No role runs yet, so nobody sees the state between them. Each
        # leaves what is true by itself: partitions without a position are read from their beginning, which is where
        # an empty Kafka is, and the beginning of that log is noted in the same transaction. Killed in between, the
        # next `ras up` comes here again: the first finds nothing more to forget, the second does its part.
        # The position to publish from is read last, for the second may set it back.
        forget_intake(connection)
        ahead = back_to_the_end(connection)
        published = read_position(connection, publisher_position(settings.transactional_id))
    if ahead:
        # Nobody has the records any more that would contradict it, so there is nothing to ask a person.
        _log.warning(
            "up.events_are_missing",
            positions=ahead,
            detail="The log ends before these positions. They go on from its end; `ras rebuild` makes the read models fit.",
        )
    return published
