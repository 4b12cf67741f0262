"""RAS as its operators run it: each role a process, settings by environment, signals, exit codes, logs."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from infrastructure.local.processes import GuardedProcess, free_port, tail
from tests.support.forked_command import ForkedCommand
from tests.support.waiting import wait_until

API_KEY: Final = "a-key-for-tests"
_PLAIN_HTTP: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx would load the system's certificates for each request otherwise: 0.15 s."""

_PORTS: Final = {"serve": "api_port", "serve-assessments": "assessments_port"}
_GRACE_S: Final = 20.0
_START_DEADLINE_S: Final = 120.0
_ASK_INTERVAL_S: Final = 0.05
"""How often a role is asked for its health: to answer takes it time that it needs to start on a busy machine."""


def deciding_children(pid: int) -> list[psutil.Process]:
    """Return the processes that an ingester has started to decide on messages, as far as they run."""
    return [child for child in psutil.Process(pid).children() if _decides(child)]


def _decides(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in part for part in process.cmdline())
    except psutil.Error:
        return False  # it has ended, and nobody has asked for its exit code yet


class RoleProcess:
    """One `ras` command in a process of its own, which ends with the tests at the latest."""

    def __init__(self, name: str, process: ForkedCommand | GuardedProcess, log: Path, port: int) -> None:
        self.name = name
        self._process = process
        self._log = log
        self._url = f"http://127.0.0.1:{port}"

    @property
    def url(self) -> str:
        """Where the role answers for its health, and a role with an API for everything else."""
        return self._url

    @property
    def deciding(self) -> list[psutil.Process]:
        """The processes that it has started to decide on messages."""
        assert isinstance(self._process, ForkedCommand), "the guard of a command is not the command"
        return deciding_children(self._process.pid)

    @property
    def exit_code(self) -> int | None:
        """None while it runs; 128 + n when signal n ended it."""
        return self._process.exit_code

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_until_ready(self) -> Self:
        """Return when the role says that it is ready."""
        wait_until(
            lambda: self.exit_code is not None or self.health == "ok",
            what=f"`ras {self.name}` is ready",
            deadline_s=_START_DEADLINE_S,
            state=self._state,
            interval_s=_ASK_INTERVAL_S,
        )
        assert self.exit_code is None, f"`ras {self.name}` ended: {self._state()}"
        return self

    def wait_for_end(self, *, deadline_s: float = _START_DEADLINE_S) -> int:
        """Return the exit code once the process has ended by itself."""
        wait_until(
            lambda: self.exit_code is not None,
            what=f"`ras {self.name}` ends by itself",
            deadline_s=deadline_s,
            state=self._state,
        )
        assert self.exit_code is not None
        return self.exit_code

    @property
    def health(self) -> str:
        """`ok`, `degraded` or `failed`; `silent` while nobody answers."""
        return str(self.readiness().get("status", "silent"))

    def readiness(self) -> dict[str, Any]:
        """Return what `/healthz/ready` says, nothing while nobody answers."""
        try:
            answer: dict[str, Any] = httpx.get(
                f"{self._url}/healthz/ready", timeout=5, verify=_PLAIN_HTTP
            ).json()
        except httpx.HTTPError:
            return {}
        return answer

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples over all its labels, 0 while it has none."""
        text = httpx.get(f"{self._url}/metrics", timeout=_GRACE_S, verify=_PLAIN_HTTP).text
        families = text_string_to_metric_families(text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def wait_for_health(self, wanted: str, *, saying: str = "", deadline_s: float = 60.0) -> str:
        """Wait for a state of health with words in its reasons, and return the reasons.

        A slow machine may show another reason first, for instance that there was no progress for a while.
        """
        reasons = ""

        def reached() -> bool:
            nonlocal reasons
            answer = self.readiness()
            checks = answer.get("checks", ())
            reasons = "; ".join(check["reason"] for check in checks if check["reason"])
            return answer.get("status", "silent") == wanted and saying in reasons

        wait_until(
            reached,
            what=f"`ras {self.name}` is {wanted}{f' and says {saying!r}' if saying else ''}",
            deadline_s=deadline_s,
            state=self._state,
            interval_s=_ASK_INTERVAL_S,
        )
        return reasons

    def terminate(self) -> int:
        """Ask it to end by SIGTERM and return its exit code: 137 when it had to be killed after the grace period."""
        self._process.stop()
        assert self.exit_code is not None
        return self.exit_code

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        self._process.kill()

    def close(self) -> None:
        """End it if it still runs, and show its log, which pytest shows when the test has failed."""
        code = self.exit_code
        if code is None:
            self.kill()
        else:
            self._process.stop()
        print(f"`ras {self.name}` ({'still running' if code is None else f'exit code {code}'}):")
        print(tail(self._log))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the process for a while, as a long pause of the machine would (SIGSTOP, SIGCONT)."""
        assert isinstance(self._process, ForkedCommand), "the guard of a command is not the command"
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def _state(self) -> str:
        return f"exit code {self.exit_code}, {self.readiness()}, log:\n{tail(self._log)}"


class Installation:
    """RAS on one database and one broker, under names of its own. Its processes end with the block."""

    def __init__(self, database_url: str, bootstrap_servers: str, folder: Path) -> None:
        self.database_url = database_url
        self.bootstrap_servers = bootstrap_servers
        name = uuid.uuid4().hex[:12]
        self.transactional_id = f"publisher-{name}"
        self.consumer_group = f"ingesters-{name}"
        self._folder = folder
        self._processes: list[RoleProcess] = []

    def start(self, *arguments: str, **settings: str) -> RoleProcess:
        """Start a command, quickly; `settings` are those of RAS in lower case and without the prefix."""
        port = int(settings.get(_PORTS.get(arguments[0], ""), free_port()))
        log = self._log_of(arguments)
        environment = self._environment(arguments[0], port, settings)
        forked = ForkedCommand(arguments, environment=environment, log=log, grace_s=_GRACE_S)
        return self._watched(arguments, forked, log, port)

    def start_afresh(self, *arguments: str, **settings: str) -> RoleProcess:
        """Start a command as an operator does, with an interpreter of its own."""
        port = free_port()
        log = self._log_of(arguments)
        guarded = GuardedProcess(
            [sys.executable, "-m", "infrastructure.cli", *arguments],
            log=log,
            stop_signal=signal.SIGTERM,
            grace_s=_GRACE_S,
            environment=self._environment(arguments[0], port, settings),
        )
        return self._watched(arguments, guarded, log, port)

    def run(self, *arguments: str, **settings: str) -> RoleProcess:
        """Run a command that ends by itself and return the ended process."""
        process = self.start(*arguments, **settings)
        process.wait_for_end()
        return process

    def terminate_all(self) -> None:
        """End whatever runs, by SIGTERM."""
        for process in self._processes:
            if process.exit_code is None:
                process.terminate()

    def get(self, api: RoleProcess, path: str) -> httpx.Response:
        """Ask the API as one of its clients does."""
        headers = {"X-Internal-API-Key": API_KEY, "X-Service-ID": "api-gateway-service"}
        return httpx.get(f"{api.url}/internal/v1{path}", headers=headers, timeout=10, verify=_PLAIN_HTTP)

    def _environment(self, role: str, port: int, settings: Mapping[str, str]) -> dict[str, str]:
        environment = {
            "database_url": self.database_url,
            "kafka_bootstrap_servers": self.bootstrap_servers,
            "transactional_id": self.transactional_id,
            "consumer_group": self.consumer_group,
            "internal_api_key": API_KEY,
            _PORTS.get(role, "health_port"): str(port),
            "retry_initial_s": "0.05",
            "retry_max_s": "0.5",
            "poll_interval_s": "0.2",
            "log_format": "json",
            **settings,
        }
        return {f"RAS_{name.upper()}": value for name, value in environment.items()}

    def _log_of(self, arguments: Sequence[str]) -> Path:
        return self._folder / f"{len(self._processes):02}-{arguments[0]}.log"

    def _watched(
        self, arguments: Sequence[str], process: ForkedCommand | GuardedProcess, log: Path, port: int
    ) -> RoleProcess:
        role = RoleProcess(arguments[0], process, log, port)
        self._processes.append(role)
        return role

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.close()
