"""Which service a key belongs to and what it may do: a TOML file with the hashes of keys.

    [admin-dashboard-service]
    keys = ["sha256:…", "sha256:…"]   # one, or two while a key is replaced
    scopes = ["read", "operate"]
    on_behalf_of = "required"         # each request names a teacher; "optional" when not set

Keys are long random texts, so a plain SHA-256 of each is enough: there is nothing to guess. The file is read again
within a second of a change; while it makes no sense, the keys read before stay in force, and health is degraded.
"""

from __future__ import annotations

import hmac
import time
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from infrastructure.health import CheckResult, Health
from infrastructure.input_files import LARGEST_SETTINGS_BYTES, read_input
from infrastructure.settings import SettingsError

_log = structlog.get_logger(__name__)

_LOOKED_AFTER_S: Final = 1.0
_SETTING: Final = "RAS_SERVICE_KEYS_FILE"


class Scope(StrEnum):
    """What a service may do: read, what is for operators, and change things in a teacher's name."""

    READ = "read"
    OPERATE = "operate"
    ACT_FOR_TEACHERS = "act-for-teachers"


class _Service(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: Annotated[
        list[Annotated[str, StringConstraints(pattern="^sha256:[0-9a-f]{64}$")]],
        Field(min_length=1, max_length=2),
    ]
    scopes: frozenset[Scope] = Field(min_length=1)
    on_behalf_of: Literal["optional", "required"] = "optional"


class Grant(NamedTuple):
    """What a key is for. `names_teacher`: each request has to say for which teacher it is."""

    scopes: frozenset[Scope]
    names_teacher: bool = False


_FILE: Final[TypeAdapter[dict[str, _Service]]] = TypeAdapter(dict[str, _Service])


class ServiceKeys:
    """The keys of each service, and its scopes."""

    def __init__(self, services: Mapping[str, _Service]) -> None:
        self._services = {
            name.encode(): (
                [bytes.fromhex(key.removeprefix("sha256:")) for key in each.keys],
                Grant(each.scopes, each.on_behalf_of == "required"),
            )
            for name, each in services.items()
        }

    def grant(self, service: bytes, key: bytes) -> Grant | None:
        """Return what the service may do, None where it is not known or the key is not one of its keys."""
        digest = sha256(key).digest()
        found: Grant | None = None
        # Every key is compared, so that time tells nothing.
        for name, (keys, grant) in self._services.items():
            matches = [hmac.compare_digest(digest, each) for each in keys]
            if hmac.compare_digest(name, service) and any(matches):
                found = grant
        return found


class ServiceKeysFile:
    """The keys in a file, which is read again when it has changed. Raises SettingsError where it makes no sense."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._keys = read_service_keys(path)
        self._looked_at = time.monotonic()
        self._fault = ""

    def grant(self, service: bytes, key: bytes) -> Grant | None:
        """Return what the service may do by the present file."""
        if time.monotonic() - self._looked_at > _LOOKED_AFTER_S:
            self._looked_at = time.monotonic()
            self._read_again()
        return self._keys.grant(service, key)

    async def health(self) -> CheckResult:
        """Report a file that was changed to one that makes no sense."""
        return CheckResult(Health.DEGRADED, self._fault) if self._fault else CheckResult(Health.OK)

    def _read_again(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        try:
            self._keys = read_service_keys(self._path)
        except SettingsError as error:
            self._fault = f"{error} The keys that were read before stay in force."
            _log.error("http.service_keys", reason=self._fault)
        else:
            self._fault = ""
            _log.info("http.service_keys_read", path=str(self._path))


def _version(path: Path) -> tuple[int, ...]:
    """Return what differs after a change: a mounted secret is replaced by another file."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def service_keys_file(path: Path | None) -> ServiceKeysFile | None:
    """Return the keys in a file, None without one. Raises SettingsError."""
    return None if path is None else ServiceKeysFile(path)


def read_service_keys(path: Path) -> ServiceKeys:
    """Return the keys in a file. Raises SettingsError with a sentence for what makes no sense."""
    try:
        written: Any = tomllib.loads(read_input(path, most=LARGEST_SETTINGS_BYTES).decode())
        services = _FILE.validate_python(written)
    except OSError as error:
        raise SettingsError(f"{_SETTING}: {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_SETTING}: {path} is not TOML: {error}.") from error
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]  # an input may be a key in clear text
        place = ".".join(str(part) for part in fault["loc"])
        raise SettingsError(
            f"{_SETTING}: {path}: {place}: {fault['msg']}. Each service has `keys`, one or two texts `sha256:` and"
            f" 64 hexadecimal digits, `scopes`, some of {', '.join(Scope)}, and perhaps `on_behalf_of`."
        ) from error
    if not services:
        raise SettingsError(f"{_SETTING}: {path} names no service.")
    return ServiceKeys(services)
