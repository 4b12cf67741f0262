"""Which real broker a test run uses: a given one, our own on Java, one in Docker, in this order."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from infrastructure.local.processes import EmbeddedServerError, GuardedProcess, free_port
from tests.support.kafka_jars import JarsUnavailableError, kafka_jars, kafka_version
from tests.support.kafka_server import KafkaServer, broker_answers
from tests.support.kafka_settings import BROKER_SETTINGS, CLUSTER_ID

_OLDEST_JAVA = 17
_DOCKER_START_DEADLINE_S = 300.0
_DOCKER_STOP_GRACE_S = 30.0


class Broker(Protocol):
    """What every real broker offers; only a KafkaServer can also be stopped and started by a test."""

    @property
    def bootstrap_servers(self) -> str: ...


@dataclass(frozen=True)
class GivenBroker:
    """A broker that this test run did not start."""

    bootstrap_servers: str


class NoBrokerError(RuntimeError):
    """No way to a real broker on this machine; the message says what to install."""


def real_broker(folder: Path) -> AbstractContextManager[Broker]:
    """The broker to test on, running inside the context, with its files in `folder`.

    Raises NoBrokerError if there is none, EmbeddedServerError if there should be one but it does not answer.
    """
    if given := os.environ.get("RAS_TEST_KAFKA_BOOTSTRAP"):
        if not broker_answers(given, timeout_s=10.0):
            raise EmbeddedServerError(
                f"nothing answers at RAS_TEST_KAFKA_BOOTSTRAP={given}: start it or unset it"
            )
        return nullcontext(GivenBroker(given))
    try:
        return KafkaServer(folder, java=_java(), jars=kafka_jars())
    except (NoBrokerError, JarsUnavailableError) as error:
        if _docker_works():
            return _docker_broker(folder)
        raise NoBrokerError(
            f"{error}; install Java {_OLDEST_JAVA} or newer and Maven (Debian: default-jre-headless maven) or Docker, "
            "or set RAS_TEST_KAFKA_BOOTSTRAP to a broker"
        ) from error


def own_broker_parts() -> tuple[str, Path]:
    """Return Java and the folder of Kafka's jars, for a test that starts a broker with settings of its own.

    Raises NoBrokerError or JarsUnavailableError where one of them is missing.
    """
    return _java(), kafka_jars()


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    for java in (*candidates, shutil.which("java")):
        if java is not None and Path(java).exists() and _java_major(java) >= _OLDEST_JAVA:
            return java
    raise NoBrokerError(f"no Java {_OLDEST_JAVA} or newer")


def _java_major(java: str) -> int:
    """0 when it does not say; `1.8.0_402` counts as 1, which is too old as well."""
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)
    version = re.search(r'version "(\d+)', answer.stderr)
    return int(version[1]) if version else 0


def _docker_works() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=60, check=False).returncode == 0


@contextmanager
def _docker_broker(folder: Path) -> Iterator[Broker]:
    port = free_port()
    settings = {
        **BROKER_SETTINGS,
        "listeners": f"PLAINTEXT://:{port},CONTROLLER://:{port + 1}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@localhost:{port + 1}",
        "log.dirs": "/tmp/kafka-data",
    }
    variables = [f"--env=KAFKA_{name.replace('.', '_').upper()}={value}" for name, value in settings.items()]
    variables.append(f"--env=CLUSTER_ID={CLUSTER_ID}")
    folder.mkdir(parents=True, exist_ok=True)
    # In the foreground: `docker run` passes the guard's SIGTERM on to the broker, and --rm removes the container.
    process = GuardedProcess(
        [
            "docker",
            "run",
            "--rm",
            f"--publish=127.0.0.1:{port}:{port}",
            *variables,
            f"apache/kafka:{kafka_version()}",
        ],
        log=folder / "broker.log",
        stop_signal=signal.SIGTERM,
        grace_s=_DOCKER_STOP_GRACE_S,
    )
    broker = GivenBroker(f"127.0.0.1:{port}")
    process.wait_until(
        lambda: broker_answers(broker.bootstrap_servers, timeout_s=1.0),
        deadline_s=_DOCKER_START_DEADLINE_S,
        name="Kafka in Docker",
    )
    try:
        yield broker
    finally:
        process.stop()
