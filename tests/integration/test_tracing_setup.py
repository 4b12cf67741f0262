"""Tracing is switched on by OTEL_* alone, and a missing package is said in a sentence."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest
from opentelemetry import trace

from infrastructure.settings import SettingsError
from infrastructure.tracing.setup import configure_tracing, current_tracer


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "ras"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": " "},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318"},
    ],
)
def test_nothing_is_traced_unless_it_is_asked_for(environment: Mapping[str, str]) -> None:
    configure_tracing(environment, "ingest")

    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    assert current_tracer() is None


@pytest.mark.parametrize("variable", ["OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"])
def test_without_the_sdk_a_sentence_says_what_to_install(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    with pytest.raises(SettingsError) as refusal:
        configure_tracing({variable: "otlp"}, "ingest")

    assert str(refusal.value) == (
        f"{variable} is set, but the OpenTelemetry SDK is not installed. "
        "Install `result-aggregator-service[tracing]`, or unset the variable."
    )


@pytest.mark.parametrize(
    ("environment", "exporter"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
    ],
)
def test_an_exporter_that_is_not_installed_is_named(environment: Mapping[str, str], exporter: str) -> None:
    with pytest.raises(SettingsError, match=f"OTEL_TRACES_EXPORTER asks for the exporter '{exporter}'"):
        configure_tracing(environment, "ingest")
