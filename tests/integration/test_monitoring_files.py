"""The dashboard and the alerts in `deploy/` ask for what the roles really show."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from infrastructure.assessments_client.client import assessment_metrics
from infrastructure.http.assessments.metrics import JudgingMetrics
from infrastructure.http.middleware import MetricsMiddleware
from infrastructure.resilience import CircuitBreaker
from infrastructure.telemetry import RoleMetrics
from tests.support.promql import Asked, asked

_DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_DASHBOARD: Final[dict[str, Any]] = json.loads((_DEPLOY / "grafana" / "ras.json").read_bytes())
_GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load(
    (_DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
)["groups"]
_ALERTS: Final[list[dict[str, Any]]] = [rule for group in _GROUPS for rule in group["rules"]]
_PANELS: Final[list[dict[str, Any]]] = [panel for panel in _DASHBOARD["panels"] if panel["type"] != "row"]
_OF_THE_SCRAPE: Final = frozenset({"instance", "job"})
_SUFFIXES: Final = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def shown_by_roles() -> dict[str, frozenset[str]]:
    """Return every time series that a role can show, and the labels it has."""
    registry = CollectorRegistry()
    RoleMetrics(registry)
    MetricsMiddleware(None, registry=registry)  # type: ignore[arg-type]  # asked for nothing here
    assessment_metrics(registry, CircuitBreaker(failures=1, reset_after_s=1))
    JudgingMetrics(registry)
    shown: dict[str, frozenset[str]] = {}
    for metric in registry._collector_to_names:
        assert isinstance(metric, MetricWrapperBase)
        for suffix in _SUFFIXES[str(metric._type)]:
            of_buckets = {"le"} if suffix == "_bucket" else set()
            shown[metric._name + suffix] = frozenset(metric._labelnames) | of_buckets
    return shown


def wrong_names(expression: Asked) -> list[str]:
    """Return what `expression` names and no role shows."""
    shown = shown_by_roles()
    wrong = [name for name in expression.metrics if name not in shown]
    for name, labels in expression.metrics.items():
        known = shown.get(name, frozenset()) | _OF_THE_SCRAPE
        wrong += [f"{name}{{{label}}}" for label in (labels | expression.grouped_by) - known]
    return wrong


def expressions() -> list[str]:
    of_panels = [target["expr"] for panel in _PANELS for target in panel["targets"]]
    return [*of_panels, *(alert["expr"] for alert in _ALERTS)]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_asked_for_is_shown(expression: str) -> None:
    assert wrong_names(asked(expression)) == []


def test_a_name_that_nobody_shows_would_be_noticed() -> None:
    assert wrong_names(asked("sum(rate(ras_ingest_messages[5m]))")) == ["ras_ingest_messages"]
    assert wrong_names(asked('max by (topic) (ras_faults_total{role="x"})')) == ["ras_faults_total{topic}"]
    for broken in (
        "sum(rate(ras_faults_total[5m])",
        "ras_faults_total[five]",
        "average(ras_faults_total)",
        "1 > 0",
    ):
        with pytest.raises(ValueError, match=re.escape(broken)):
            asked(broken)


def test_every_metric_of_the_roles_is_on_the_dashboard() -> None:
    """What nobody would miss need not be counted."""
    on_it = {
        name for panel in _PANELS for target in panel["targets"] for name in asked(target["expr"]).metrics
    }
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in on_it}
    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in shown_by_roles()} == families


def test_metrics_are_named_as_prometheus_advises() -> None:
    for name in shown_by_roles():
        assert re.fullmatch(r"ras_[a-z_]+", name), name
        assert not re.search(r"_(ms|millis|minutes|kb)\b", name), f"{name}: base units only"


@pytest.mark.parametrize("alert", _ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_complete(alert: dict[str, Any]) -> None:
    assert set(alert) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"Ras[A-Za-z]+", alert["alert"])
    assert re.fullmatch(r"\d+[smh]", alert.get("for", "0s"))
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description"}
    grouped = asked(alert["expr"]).grouped_by
    for label in re.findall(r"\$labels\.(\w+)", str(alert["annotations"])):
        assert label in grouped, f"{label} is not left over by the expression"


def test_alerts_have_names_of_their_own() -> None:
    names = [alert["alert"] for alert in _ALERTS]
    assert len(set(names)) == len(names) > 10


def test_panels_are_complete_and_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in _DASHBOARD["panels"]}) == len(_DASHBOARD["panels"])
    for panel in _PANELS:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
