"""docker-compose.yml says what it must, checked without Docker: roles, health, secrets, volumes, ports."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kafka_jars import kafka_version

_ROOT = Path(__file__).parents[2]
_COMPOSE: dict[str, Any] = yaml.safe_load((_ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_ROLES = ("ingest", "publish", "project", "serve", "serve-assessments")
_PORTS = {"serve": "RAS_API_PORT", "serve-assessments": "RAS_ASSESSMENTS_PORT"}
_SECRET_NAME = re.compile(r"PASSWORD|SECRET|API_KEY|TOKEN|DATABASE_URL")
_REQUIRED_VARIABLE = re.compile(r"\$\{(\w+):\?[^}]+\}")


def image_tags(text: str) -> list[str]:
    return re.findall(r"^FROM (\S+)", text, flags=re.MULTILINE)


def test_every_role_is_a_service_of_its_own() -> None:
    assert set(_SERVICES) == {"postgres", "kafka", "init", *_ROLES}
    for role in _ROLES:
        assert _SERVICES[role]["command"] == [role]
    assert _SERVICES["init"]["command"] == ["init", "--upgrade"]


@pytest.mark.parametrize("name", ["postgres", "kafka", *_ROLES])
def test_a_service_that_stays_has_a_health_check_and_comes_back(name: str) -> None:
    assert _SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert _SERVICES[name]["restart"] == "unless-stopped"
    assert "stop_grace_period" in _SERVICES[name]


@pytest.mark.parametrize("role", _ROLES)
def test_roles_start_after_the_tables_and_topics_are_made(role: str) -> None:
    conditions = {name: what["condition"] for name, what in _SERVICES[role]["depends_on"].items()}
    assert conditions == {
        "init": "service_completed_successfully",
        "postgres": "service_healthy",
        "kafka": "service_healthy",
    }


def test_health_checks_ask_the_port_that_the_role_serves() -> None:
    for role in _ROLES:
        environment, check = _SERVICES[role]["environment"], _SERVICES[role]["healthcheck"]["test"][-1]
        port = environment[_PORTS.get(role, "RAS_HEALTH_PORT")]
        path = "/healthz/live" if role in _PORTS else "/healthz/ready"
        assert f"http://127.0.0.1:{port}{path}" in check


def test_the_query_api_asks_the_assessment_app_where_it_is() -> None:
    port = _SERVICES["serve-assessments"]["environment"]["RAS_ASSESSMENTS_PORT"]
    assert _SERVICES["serve"]["environment"]["RAS_ASSESSMENTS_URL"] == f"http://serve-assessments:{port}"


def test_no_secret_is_in_the_file() -> None:
    """A value whose name promises a secret comes from the environment, and its absence stops the start."""
    named: set[str] = set()
    for name, service in _SERVICES.items():
        environment: Mapping[str, str] = service["environment"]
        for key, value in environment.items():
            if not _SECRET_NAME.search(key):
                continue
            variables = _REQUIRED_VARIABLE.findall(value)
            assert variables, f"{name}: {key} is written out"
            named.update(variables)
    example = (_ROOT / ".env.example").read_text(encoding="utf-8")
    assert named == set(re.findall(r"^(\w+)=$", example, flags=re.MULTILINE))


def test_data_lies_in_named_volumes() -> None:
    for name in ("postgres", "kafka"):
        volume, *files = _SERVICES[name]["volumes"]
        assert volume.split(":")[0] in _COMPOSE["volumes"]
        for file in files:
            assert file.endswith(":ro")
            assert (_ROOT / file.split(":")[0]).is_file()


def test_only_loopback_is_published() -> None:
    for name, service in _SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"


def test_images_are_pinned() -> None:
    images = {service["image"] for service in _SERVICES.values()}
    images |= set(image_tags((_ROOT / "Dockerfile").read_text(encoding="utf-8")))
    for image in images:
        tag = image.partition(":")[2]
        assert re.match(r"\d+\.\d+", tag), f"{image} has no exact version"


def test_the_broker_is_the_one_that_the_tests_run() -> None:
    assert _SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_the_image_runs_as_an_ordinary_user() -> None:
    last_stage = (_ROOT / "Dockerfile").read_text(encoding="utf-8").split("FROM ")[-1]
    (user,) = re.findall(r"^USER (\S+)", last_stage, flags=re.MULTILINE)
    assert user not in {"root", "0"}
