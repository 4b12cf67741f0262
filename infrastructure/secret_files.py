"""Secrets from files: `RAS_X_FILE` names a file whose content is the value of `RAS_X`.

Orchestrators mount secrets as files; a variable would be seen in the process list of the host and in crash reports. A
file is read once, at the start. One line break at its end does not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from infrastructure.input_files import LARGEST_SETTINGS_BYTES, read_input

SUFFIX: Final = "_file"


class SecretFileError(Exception):
    """A file that is no secret; the text names the setting and the file, and nothing of its content."""


def settings_with_files(fields: Mapping[str, FieldInfo]) -> Iterator[str]:
    """Yield the names of the settings that may come from a file: every secret, and addresses with passwords."""
    for name, field in fields.items():
        is_address = name.startswith("database_") and name.endswith("_url")
        if is_address or "SecretStr" in str(field.annotation):
            yield name


class SecretFiles(PydanticBaseSettingsSource):
    """Reads the files that the variables of `given` name; the first source that has a name decides, even blank."""

    def __init__(self, settings: type[BaseSettings], *given: PydanticBaseSettingsSource) -> None:
        super().__init__(settings)
        self._given: Sequence[Mapping[str, str | None]] = [
            source.env_vars for source in given if isinstance(source, EnvSettingsSource)
        ]
        self._prefix = settings.model_config["env_prefix"].lower()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return the content of a setting's file, None without one. Raises SecretFileError."""
        path = self._variable(field_name + SUFFIX)
        if not path:
            return None, field_name, False
        variable = f"{self._prefix}{field_name}".upper()
        if self._variable(field_name):
            raise SecretFileError(f"{variable} and {variable}_FILE are both set: set one of them.")
        return _content(f"{variable}_FILE", path), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values by the names of the settings."""
        fields = self.settings_cls.model_fields
        read = {name: self.get_field_value(fields[name], name)[0] for name in settings_with_files(fields)}
        return {name: value for name, value in read.items() if value is not None}

    def _variable(self, name: str) -> str:
        found = (given[self._prefix + name] for given in self._given if self._prefix + name in given)
        return (next(found, "") or "").strip()


def _content(variable: str, path: str) -> str:
    try:
        content = read_input(path, most=LARGEST_SETTINGS_BYTES)
    except OSError as error:
        raise SecretFileError(f"{variable}: {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SecretFileError(f"{variable} is not the name of a file.") from error
    try:
        text = content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SecretFileError(f"{variable}: {path} is not UTF-8 text.") from None
    if not text.strip():
        raise SecretFileError(f"{variable}: {path} is empty.")
    return text
