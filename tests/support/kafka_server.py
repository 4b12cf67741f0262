"""A real Apache Kafka broker for tests: one node in KRaft mode, on free loopback ports."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infrastructure.local.processes import EmbeddedServerError, GuardedProcess, free_port, port_is_free
from tests.support.kafka_settings import BROKER_SETTINGS, CLUSTER_ID
from tests.support.waiting import wait_until

_START_DEADLINE_S = 90.0
_STOP_GRACE_S = 30.0
_LOGGING = Path(__file__).parent.parent / "kafka" / "log4j2.properties"


class KafkaServer:
    """A broker with its data in `folder`, so that a test can stop or kill it and start it again.

    The ports stay the same from start to start; `stop` ends it in order, `kill` by SIGKILL. It ends with this
    process, however that ends.
    """

    def __init__(
        self, folder: Path, *, java: str, jars: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder.absolute()
        self._jars = jars
        self._java = java
        self._port, self._controller_port = free_port(), free_port()
        self._settings = dict(settings or {})
        self._process: GuardedProcess | None = None
        # The loaded classes as Java maps them: from there a broker starts with 1.8 s of CPU, else with 2.9. Java
        # checks them against itself and the jars, and does without where they do not fit.
        self._classes = jars.with_name(f"{jars.name}.jsa")
        self._new_classes = self._folder / "classes.jsa"

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:port`, the same also while the broker is stopped."""
        return f"127.0.0.1:{self._port}"

    @property
    def data_folder(self) -> Path:
        """Where its partitions lie, each in a folder of its own."""
        return self._folder / "data"

    @property
    def running(self) -> bool:
        """Whether the broker's process is there."""
        return self._process is not None and self._process.exit_code is None

    def start(self) -> None:
        """Start the broker and wait until it answers. Raises EmbeddedServerError with the end of its log."""
        if self.running:
            return
        configuration = self._folder / "server.properties"
        if not configuration.exists():
            self._format(configuration)
        options = ["-Xms256m", "-Xmx512m"]
        if not self._classes.exists():
            options.append(f"-XX:ArchiveClassesAtExit={self._new_classes}")
        self._process = GuardedProcess(
            self._java_command(*options, "kafka.Kafka", str(configuration)),
            log=self._folder / "broker.log",
            stop_signal=signal.SIGTERM,
            grace_s=_STOP_GRACE_S,
        )
        self._process.wait_until(self.answers, deadline_s=_START_DEADLINE_S, name="Kafka")

    def stop(self) -> None:
        """End the broker in order: what it acknowledged is there after the next start."""
        if self._process is not None:
            self._process.stop()
            self._process = None
            if self._new_classes.exists():
                # Another worker must not find half of it, and the folders may be on different disks.
                copied = self._classes.with_suffix(f".{os.getpid()}")
                shutil.move(self._new_classes, copied)
                copied.replace(self._classes)

    def kill(self) -> None:
        """End the broker as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the broker for a while (SIGSTOP): connections stay open, new ones are accepted, and nothing answers."""
        broker = self._broker_pid()
        os.kill(broker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(broker, signal.SIGCONT)
            wait_until(self.answers, what="the broker answers again", deadline_s=_START_DEADLINE_S)

    def _broker_pid(self) -> int:
        """Return the id of the broker itself; our child is its guard."""
        configuration = str(self._folder / "server.properties").encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile
                program, *arguments = (process / "cmdline").read_bytes().split(b"\0")
                if program.decode() == self._java and configuration in arguments:
                    return int(process.name)
        raise EmbeddedServerError(f"no broker runs with {self._folder}")

    def answers(self) -> bool:
        """Whether a client that connects now is told of the broker."""
        return broker_answers(self.bootstrap_servers, timeout_s=1.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _format(self, configuration: Path) -> None:
        """Write the settings and the empty storage; the ports are final from here on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if not port_is_free(self._port):
            self._port = free_port()
        if not port_is_free(self._controller_port):
            self._controller_port = free_port()
        listener, controller = f"127.0.0.1:{self._port}", f"127.0.0.1:{self._controller_port}"
        unfinished = configuration.with_suffix(".new")
        settings = {
            **BROKER_SETTINGS,
            "listeners": f"PLAINTEXT://{listener},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{listener}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._folder / "data"),
            **self._settings,
        }
        unfinished.write_text(
            "".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8"
        )
        command = self._java_command(
            "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(unfinished)
        )
        formatted = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_START_DEADLINE_S,
            check=False,
        )
        if formatted.returncode:
            output = formatted.stdout + formatted.stderr
            raise EmbeddedServerError(
                f"Kafka's storage in {self._folder} could not be formatted:\n{output[-3000:]}"
            )
        unfinished.rename(configuration)

    def _java_command(self, *arguments: str) -> Sequence[str]:
        return [
            self._java,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-XX:-UsePerfData",
            *([f"-XX:SharedArchiveFile={self._classes}"] if self._classes.exists() else []),
            "-Djava.net.preferIPv4Stack=true",
            f"-Dlog4j2.configurationFile={_LOGGING}",
            "-cp",
            f"{self._jars}/*",
            *arguments,
        ]


def broker_answers(bootstrap_servers: str, *, timeout_s: float) -> bool:
    """Whether a broker answers a metadata request at this address."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False
