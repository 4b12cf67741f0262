"""Which service a key belongs to and what it may do: a TOML file with the hashes of keys.

    [admin-dashboard-service]
    keys = ["sha256:…", "sha256:…"]   # one, or two while a key is replaced
    scopes = ["read", "operate"]

Keys are long random texts, so a plain SHA-256 of each is enough: there is nothing to guess. The file is read once, at
the start.
"""

from __future__ import annotations

import hmac
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from infrastructure.input_files import LARGEST_SETTINGS_BYTES, read_input
from infrastructure.settings import SettingsError

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


_FILE: Final[TypeAdapter[dict[str, _Service]]] = TypeAdapter(dict[str, _Service])


class ServiceKeys:
    """The keys of each service, and its scopes."""

    def __init__(self, services: Mapping[str, _Service]) -> None:
        self._services = {
            name.encode(): ([bytes.fromhex(key.removeprefix("sha256:")) for key in each.keys], each.scopes)
            for name, each in services.items()
        }

    def scopes(self, service: bytes, key: bytes) -> frozenset[Scope] | None:
        """Return what the service may do, None where it is not known or the key is not one of its keys."""
        digest = sha256(key).digest()
        found: frozenset[Scope] | None = None
        # Every key is compared, so that time tells nothing.
        for name, (keys, scopes) in self._services.items():
            matches = [hmac.compare_digest(digest, each) for each in keys]
            if hmac.compare_digest(name, service) and any(matches):
                found = scopes
        return found


def read_service_keys(path: Path | None) -> ServiceKeys | None:
    """Return the keys in a file, None without one. Raises SettingsError with a sentence for what makes no sense."""
    if path is None:
        return None
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
            f" 64 hexadecimal digits, and `scopes`, some of {', '.join(Scope)}."
        ) from error
    if not services:
        raise SettingsError(f"{_SETTING}: {path} names no service.")
    return ServiceKeys(services)
