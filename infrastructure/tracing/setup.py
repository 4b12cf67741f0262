"""OpenTelemetry, switched on by its own variables and by nothing else.

The SDK is an extra: without `OTEL_*` nothing of it is imported and no span is made. What the variables
mean is the SDK's business (sampler, service name, limits, the exporter's address); here is decided only
whether and with which exporter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import entry_points, version
from typing import Any, Final

import structlog
from opentelemetry import trace

from infrastructure.settings import SettingsError

_log = structlog.get_logger(__name__)

_SERVICE: Final = "result-aggregator-service"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_DEFAULT_PROTOCOL: Final = "http/protobuf"
_OTLP: Final = {_DEFAULT_PROTOCOL: "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_INSTALL: Final = "Install `result-aggregator-service[tracing]`, or unset the variable."


class _IntoOurLog(logging.Handler):
    """What the SDK has to say (its collector is unavailable) as lines of our own log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        _log.warning("tracing.sdk", detail=record.getMessage())


def configure_tracing(environment: Mapping[str, str], role: str) -> None:
    """Make this process export its spans if `environment` asks for it; else leave everything as it is.

    Raises SettingsError if it asks and the SDK or the exporter is not installed.
    """
    asking, exporter = _asked_for(environment)
    if exporter is None:
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SettingsError(
            f"{asking} is set, but the OpenTelemetry SDK is not installed. {_INSTALL}"
        ) from error
    found = next(iter(entry_points(group="opentelemetry_traces_exporter", name=exporter)), None)
    if found is None:
        raise SettingsError(
            f"{asking} asks for the exporter {exporter!r}, which is not installed. {_INSTALL}"
        )
    about: dict[str, Any] = {"service.version": version(_SERVICE), "ras.role": role}
    if "OTEL_SERVICE_NAME" not in environment:
        about["service.name"] = _SERVICE
    sdk_log = logging.getLogger("opentelemetry")
    sdk_log.addHandler(_IntoOurLog())
    sdk_log.propagate = False
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(BatchSpanProcessor(found.load()()))
    trace.set_tracer_provider(provider)  # flushed when the process ends, by the SDK


def current_tracer() -> trace.Tracer | None:
    """Return the tracer of this process, None where tracing was not switched on."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider):
        return None
    return provider.get_tracer(_SERVICE, version(_SERVICE))


def _asked_for(environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the variable that asks for spans to be exported, and the exporter; None where none does."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "", None
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    asking = "OTEL_TRACES_EXPORTER" if named else next((n for n in _ENDPOINTS if environment.get(n)), None)
    if asking is None or named == "none":
        return "", None
    if named not in {"", "otlp"}:
        return asking, named
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _DEFAULT_PROTOCOL)
    return asking, _OTLP.get(protocol.strip(), protocol)
