"""Settings of the connection to Kafka, named after the settings of Kafka's clients. They hold for every role and command."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from infrastructure.secret_files import SecretFiles

_SECRET_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class KafkaSettings(BaseSettings):
    """How to reach Kafka: protocol, authentication, certificates, and the compression of what RAS sends."""

    model_config = SettingsConfigDict(env_prefix="RAS_", env_file=".env", extra="ignore")

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="how a SASL_ protocol authenticates"
    )
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_sasl_oauthbearer_token_endpoint_url: str | None = Field(
        None, description="issues tokens for client credentials"
    )
    kafka_sasl_oauthbearer_client_id: str | None = None
    kafka_sasl_oauthbearer_client_secret: SecretStr | None = None
    kafka_sasl_oauthbearer_scope: str | None = None
    kafka_ssl_cafile: Path | None = Field(None, description="PEM file; the system's when not set")
    kafka_ssl_certfile: Path | None = Field(None, description="PEM file of the client certificate")
    kafka_ssl_keyfile: Path | None = Field(None, description="PEM file of its key")
    kafka_ssl_password: SecretStr | None = Field(None, description="of the key file")
    kafka_ssl_check_hostname: bool = Field(True, description="compare the certificate with the host name")
    kafka_compression_type: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="of what the publisher sends"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not used: a folder for all settings
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return where settings come from. Files stand before variables: a blank one, as in a template, is none."""
        files = SecretFiles(settings_cls, env_settings, dotenv_settings)
        return init_settings, files, env_settings, dotenv_settings

    @property
    def uses_tls(self) -> bool:
        """Whether the connections are encrypted."""
        return self.kafka_security_protocol in {"SSL", "SASL_SSL"}

    @property
    def uses_sasl(self) -> bool:
        """Whether a name and a secret, or a token, authenticate RAS."""
        return self.kafka_security_protocol.startswith("SASL_")

    @property
    def principal(self) -> str:
        """Whom the broker's ACLs must name, as far as RAS knows: a listener may map names to others."""
        if self.uses_sasl:
            return self.kafka_sasl_username or self.kafka_sasl_oauthbearer_client_id or ""
        if self.uses_tls and self.kafka_ssl_certfile:
            return f"of the certificate {self.kafka_ssl_certfile}"
        return "ANONYMOUS"

    @field_validator("kafka_security_protocol", "kafka_sasl_mechanism", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.strip().upper() if isinstance(value, str) else value

    @field_validator("kafka_compression_type", mode="before")
    @classmethod
    def _in_small_letters(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object, info: ValidationInfo) -> object:
        """Take a blank value for none where a setting may be missing: templates of variables have such lines."""
        may_be_missing = cls.model_fields[str(info.field_name)].default is None
        return None if may_be_missing and isinstance(value, str) and not value.strip() else value

    @model_validator(mode="after")
    def _can_authenticate(self) -> Self:
        if self.uses_sasl and self.kafka_sasl_mechanism in _SECRET_MECHANISMS:
            self._require("kafka_sasl_username", "kafka_sasl_password")
        elif self.uses_sasl:
            self._require(
                "kafka_sasl_oauthbearer_token_endpoint_url",
                "kafka_sasl_oauthbearer_client_id",
                "kafka_sasl_oauthbearer_client_secret",
            )
        if self.uses_tls and self.kafka_ssl_keyfile and not self.kafka_ssl_certfile:
            raise ValueError("RAS_KAFKA_SSL_KEYFILE is set: RAS_KAFKA_SSL_CERTFILE must name its certificate")
        return self

    def _require(self, *names: str) -> None:
        missing = [f"RAS_{name.upper()}" for name in names if getattr(self, name) is None]
        if missing:
            raise ValueError(
                f"RAS_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} with the mechanism "
                f"{self.kafka_sasl_mechanism} needs {' and '.join(missing)}"
            )
