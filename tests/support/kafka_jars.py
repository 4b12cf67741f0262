"""The broker's jar files, fetched once by Maven and kept between test runs.

They lie in `RAS_TEST_CACHE` (else ~/.cache/ras-tests), in a folder named by Kafka's version and the pom's
hash. Maven fills a folder beside it which is renamed when complete, so a half-finished download is never
used; a file lock lets several test runs start at once on a new machine.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

_POM = Path(__file__).parent.parent / "kafka" / "pom.xml"
_NAMESPACES = {"m": "http://maven.apache.org/POM/4.0.0"}
_DOWNLOAD_DEADLINE_S = 600


class JarsUnavailableError(RuntimeError):
    """The jars are neither in the cache nor to be fetched; the message says why."""


def cache_folder() -> Path:
    """The folder for what tests keep between runs."""
    chosen = os.environ.get("RAS_TEST_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "ras-tests"


def kafka_version() -> str:
    """The version of Apache Kafka that the pom pins."""
    version = ElementTree.parse(_POM).findtext("m:properties/m:kafka.version", namespaces=_NAMESPACES)
    assert version is not None
    return version


def kafka_jars() -> Path:
    """The folder of jars, fetched first if need be. Raises JarsUnavailableError."""
    fingerprint = hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"kafka-{kafka_version()}-{fingerprint}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(f"{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise JarsUnavailableError("Maven (mvn) is not installed")
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        command = [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies"]
        fetched = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_DOWNLOAD_DEADLINE_S,
            check=False,
        )
        if fetched.returncode:
            raise JarsUnavailableError(
                f"Maven could not fetch Kafka:\n{(fetched.stdout + fetched.stderr)[-2000:]}"
            )
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
