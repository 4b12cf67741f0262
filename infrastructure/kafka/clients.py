"""The one place that makes Kafka clients: with the security that the settings ask for, and with readable faults.

The settings of the connection are read from the environment once per process, because they hold for every
client in it (docs/decisions/0070-kafka-security-per-process.md). An embedded broker has no security.
"""

from __future__ import annotations

import ssl
from functools import cache
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient

from infrastructure.errors import OperatorError
from infrastructure.input_files import require_file
from infrastructure.kafka import closing, faults, unreadable_batches
from infrastructure.kafka_settings import KafkaSettings
from infrastructure.settings import SettingsError


class CodecMissingError(OperatorError):
    """A compression codec that the settings name is not installed; the text says what to do."""


REQUEST_TIMEOUT_S: Final = 10.0
"""How long the broker may take over one request, and over a connection. The client's own limit is 40 s."""

_GROUP_TIMEOUT_S: Final = 15.0
"""The same for a member of a consumer group: the broker holds a request to join for up to 10 s, the session time-out."""

_without_security: set[str] = set()


def consumer(bootstrap_servers: str, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that is not started; it never commits by itself. Batches that cannot be read do not stop it."""
    unreadable_batches.install()
    timeout_s = _GROUP_TIMEOUT_S if "group_id" in options else REQUEST_TIMEOUT_S
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        request_timeout_ms=int(timeout_s * 1000),
        **security(bootstrap_servers),
        **options,
    )


def producer(bootstrap_servers: str, **options: Any) -> AIOKafkaProducer:
    """Return an idempotent producer that is not started, acknowledged by all replicas.

    Raises CodecMissingError where this installation lacks the library of the codec.
    """
    secured = security(bootstrap_servers)
    try:
        return AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
            **secured,
            **options,
        )
    except RuntimeError as error:  # aiokafka has no class of its own for it
        codec = options.get("compression_type")
        if codec is None:
            raise
        raise CodecMissingError(
            f"This installation of RAS lacks the library for the codec {codec}, `cramjam`. Install it, or set "
            "RAS_KAFKA_COMPRESSION_TYPE to none or gzip."
        ) from error


def admin(bootstrap_servers: str) -> AIOKafkaAdminClient:
    """Return an administration client that is not started."""
    return AIOKafkaAdminClient(
        bootstrap_servers=bootstrap_servers,
        request_timeout_ms=int(REQUEST_TIMEOUT_S * 1000),
        **security(bootstrap_servers),
    )


def has_no_security(bootstrap_servers: str) -> None:
    """Note that the broker at this address is embedded: it speaks without encryption and authentication."""
    _without_security.add(bootstrap_servers)


def compression() -> str | None:
    """Return the codec of what the publisher sends, None for none."""
    codec = _settings().kafka_compression_type
    return None if codec == "none" else codec


def security(bootstrap_servers: str) -> dict[str, Any]:
    """Return the client settings for protocol, authentication and certificates.

    Raises SettingsError with a sentence where a certificate file cannot be used.
    """
    closing.install()
    faults.note_connection_faults()
    settings = _settings()
    if settings.kafka_security_protocol == "PLAINTEXT" or bootstrap_servers in _without_security:
        return {}
    options: dict[str, Any] = {"security_protocol": settings.kafka_security_protocol}
    if settings.uses_tls:
        options["ssl_context"] = _tls()
    if settings.uses_sasl:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        if settings.kafka_sasl_mechanism == "OAUTHBEARER":
            options["sasl_oauth_token_provider"] = _tokens(settings)
        else:
            assert settings.kafka_sasl_password is not None
            options["sasl_plain_username"] = settings.kafka_sasl_username
            options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options


@cache
def _settings() -> KafkaSettings:
    return KafkaSettings()


@cache
def _tls() -> ssl.SSLContext:
    settings = _settings()
    context = _trusting(settings)
    context.check_hostname = settings.kafka_ssl_check_hostname
    if settings.kafka_ssl_certfile is not None:
        password = settings.kafka_ssl_password
        try:
            require_file(settings.kafka_ssl_certfile)
            if settings.kafka_ssl_keyfile is not None:
                require_file(settings.kafka_ssl_keyfile)
            # The empty password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(
                settings.kafka_ssl_certfile,
                settings.kafka_ssl_keyfile,
                password.get_secret_value() if password else "",
            )
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"RAS_KAFKA_SSL_CERTFILE and RAS_KAFKA_SSL_KEYFILE: {_reason(error)}. They must name PEM files that "
                "belong together; RAS_KAFKA_SSL_PASSWORD opens a key that is encrypted."
            ) from error
    return context


def _trusting(settings: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.kafka_ssl_cafile is not None:
        try:
            require_file(settings.kafka_ssl_cafile)
            context.load_verify_locations(settings.kafka_ssl_cafile)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"RAS_KAFKA_SSL_CAFILE: {_reason(error)}. It must name a PEM file with the certificate authority."
            ) from error
    return context


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _tokens(settings: KafkaSettings) -> AbstractTokenProvider:
    from infrastructure.kafka.oauth_tokens import ClientCredentials  # httpx, for those who need it

    secret = settings.kafka_sasl_oauthbearer_client_secret
    assert secret is not None
    return ClientCredentials(
        settings.kafka_sasl_oauthbearer_token_endpoint_url or "",
        settings.kafka_sasl_oauthbearer_client_id or "",
        secret.get_secret_value(),
        settings.kafka_sasl_oauthbearer_scope,
        _trusting(settings),
    )
