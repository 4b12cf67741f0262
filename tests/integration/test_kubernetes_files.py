"""deploy/kubernetes/ is valid for Kubernetes and its operators, and agrees with the code: settings, topics, ACLs, roles."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import pytest
import yaml

from application.topics import INPUT_TOPICS, PUBLISHER_POSITION
from infrastructure.kafka.topics import MAX_MESSAGE_BYTES, partitions_by_topic
from infrastructure.postgres import grants
from infrastructure.settings import Settings
from tests.support import kafka_acls

_ROOT: Final = Path(__file__).parents[2]
_FOLDER: Final = _ROOT / "deploy" / "kubernetes"
_SCHEMAS: Final[dict[str, Any]] = json.loads((_ROOT / "tests/kubernetes/schemas.json").read_text())["schemas"]
_OLDEST, _NEWEST = "1.34", "1.37"

Json = dict[str, Any]

_DEPLOYMENTS: Final = {
    "ras-ingest": ("ingest", "health"),
    "ras-publish": ("publish", "health"),
    "ras-project": ("project", "health"),
    "ras-serve": ("serve", "http"),
    "ras-serve-assessments": ("serve-assessments", "http"),
}
_PORTS: Final = {"serve": "RAS_API_PORT", "serve-assessments": "RAS_ASSESSMENTS_PORT"}
_SECRETS: Final = {
    "ras-database": {"owner", "ingest", "publish", "project", "serve", "operate", "serve-pooled"},
    "ras-api": {"internal-api-key", "session-keys"},
}
"""What a person creates; docs/operations.md tells how."""


def _documents(path: Path) -> list[Json]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _kustomizations() -> Iterator[tuple[Path, Json]]:
    for path in sorted(_FOLDER.rglob("kustomization.yaml")):
        yield path.parent, _documents(path)[0]


def _resources() -> dict[str, Json]:
    """Every complete resource, by kind and name."""
    found = {}
    for folder, kustomization in _kustomizations():
        for name in kustomization.get("resources", []):
            if (folder / name).is_file():
                for document in _documents(folder / name):
                    found[f"{document['kind']}/{document['metadata']['name']}"] = document
    return found


def _patches() -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = {}
    for folder, kustomization in _kustomizations():
        for patch in kustomization.get("patches", []):
            if "path" in patch:
                for document in _documents(folder / patch["path"]):
                    found.setdefault(f"{document['kind']}/{document['metadata']['name']}", []).append(
                        document
                    )
    return found


_RESOURCES: Final = _resources()


def _pod(document: Mapping[str, Any]) -> Json:
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    pod: Json = spec["template"]["spec"]
    return pod


def _pods() -> dict[str, Json]:
    return {
        name: _pod(each)
        for name, each in _RESOURCES.items()
        if each["kind"] in {"Deployment", "Job", "CronJob"}
    }


def _environment(pod: Json) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["containers"][0].get("env", [])}


def _secrets(pod: Json) -> dict[str, tuple[str, str]]:
    """The Secret and the key of each variable that has one."""
    references = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in pod["containers"][0].get("env", [])
        if "valueFrom" in each
    }
    return {name: (reference["name"], reference["key"]) for name, reference in references.items()}


@pytest.mark.parametrize("name", _RESOURCES)
def test_a_resource_is_valid_for_its_api_server(name: str) -> None:
    resource = _RESOURCES[name]
    custom = _SCHEMAS.get(f"{resource['apiVersion']}/{resource['kind']}")
    if custom is not None:
        jsonschema.Draft202012Validator(custom).validate(resource)
    else:
        for version in (_OLDEST, _NEWEST):
            kubernetes_validate.validate(resource, version, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    deployment = json.loads(json.dumps(_RESOURCES["Deployment/ras-ingest"]))
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, _NEWEST, strict=True)
    user = json.loads(json.dumps(_RESOURCES["KafkaUser/ras-ingest"]))
    user["spec"]["authorization"]["acls"][0]["operation"] = "Read"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(user, _SCHEMAS["kafka.strimzi.io/v1/KafkaUser"])


def test_every_file_is_used_and_every_patch_has_its_resource() -> None:
    used = set()
    for folder, kustomization in _kustomizations():
        used.add(folder / "kustomization.yaml")
        used |= {folder / name for name in kustomization.get("resources", [])}
        used |= {folder / patch["path"] for patch in kustomization.get("patches", []) if "path" in patch}
        for generated in kustomization.get("configMapGenerator", []):
            used |= {folder / name for name in generated.get("envs", [])}
    assert {path for path in _FOLDER.rglob("*") if path.is_file()} <= used
    assert _patches().keys() <= _RESOURCES.keys()


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_example_is_built_and_what_comes_out_is_valid() -> None:
    built = subprocess.run(["kubectl", "kustomize", _FOLDER / "example"], capture_output=True, check=False)
    if b"unknown command" in built.stderr or b"apiVersion should be" in built.stderr:
        pytest.skip("this kubectl is too old for components")
    assert built.returncode == 0, built.stderr.decode()
    documents = [each for each in yaml.safe_load_all(built.stdout) if each]
    assert len(documents) == len(_RESOURCES) + 1  # the settings
    for document in documents:
        custom = _SCHEMAS.get(f"{document['apiVersion']}/{document['kind']}")
        if custom is not None:
            jsonschema.Draft202012Validator(custom).validate(document)
        else:
            kubernetes_validate.validate(document, _NEWEST, strict=True)
    [ingest] = [
        each
        for each in documents
        if each["metadata"]["name"] == "ras-ingest" and each["kind"] == "Deployment"
    ]
    assert "replicas" not in ingest["spec"]
    variables = {each["name"] for each in ingest["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert {"RAS_DATABASE_URL", "RAS_KAFKA_SASL_PASSWORD"} <= variables


def test_every_setting_that_is_used_exists() -> None:
    names = {name for pod in _pods().values() for name in _environment(pod)}
    names |= {
        name for patches in _patches().values() for patch in patches for name in _environment(_pod(patch))
    }
    for folder, kustomization in _kustomizations():
        for generated in kustomization.get("configMapGenerator", []):
            lines = list(generated.get("literals", []))
            for file in generated.get("envs", []):
                lines += (folder / file).read_text(encoding="utf-8").splitlines()
            names |= {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    settings = {f"RAS_{name}".upper() for name in Settings.model_fields}
    assert len(names) > 12
    assert names <= settings


def test_no_secret_is_written_out_and_no_service_looks_like_a_setting() -> None:
    bodies = [*_pods().values(), *(_pod(patch) for patches in _patches().values() for patch in patches)]
    for pod in bodies:
        for name, value in _environment(pod).items():
            if any(word in name for word in ("PASSWORD", "SECRET", "KEY", "DATABASE")):
                assert not value, name
    assert all(pod["enableServiceLinks"] is False for pod in _pods().values())


@pytest.mark.parametrize("name", _DEPLOYMENTS)
def test_a_role_has_probes_on_its_port_resources_and_a_disruption_budget(name: str) -> None:
    command, port = _DEPLOYMENTS[name]
    deployment = _RESOURCES[f"Deployment/{name}"]
    pod = _pod(deployment)
    [container] = pod["containers"]
    assert container["args"] == [command]
    [declared] = container["ports"]
    assert declared["name"] == port
    assert _environment(pod)[_PORTS.get(command, "RAS_HEALTH_PORT")] == str(declared["containerPort"])
    probes = {
        each: container[each]["httpGet"] for each in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert {each["port"] for each in probes.values()} == {port}
    assert probes["livenessProbe"]["path"] == probes["startupProbe"]["path"] == "/healthz/live"
    assert probes["readinessProbe"]["path"] == "/healthz/ready"
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    assert pod["terminationGracePeriodSeconds"] > Settings.model_fields["shutdown_timeout_s"].default
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    budget = _RESOURCES[f"PodDisruptionBudget/{name}"]["spec"]
    assert budget["maxUnavailable"] == 1
    for selector in (deployment["spec"]["selector"], budget["selector"]):
        assert selector["matchLabels"].items() <= labels.items()
    if port == "http":
        service = _RESOURCES[f"Service/{name}"]["spec"]
        assert service["selector"].items() <= labels.items()
        assert [(each["port"], each["targetPort"]) for each in service["ports"]] == [
            (declared["containerPort"], "http")
        ]


def test_the_publisher_and_the_projector_are_never_two() -> None:
    for name in ("ras-publish", "ras-project"):
        spec = _RESOURCES[f"Deployment/{name}"]["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


@pytest.mark.parametrize("name", _pods())
def test_a_pod_has_no_privileges_and_writes_nowhere(name: str) -> None:
    pod = _pods()[name]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    assert f"--uid {pod['securityContext']['runAsUser']}" in (_ROOT / "Dockerfile").read_text(
        encoding="utf-8"
    )
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_the_secrets_that_are_used_are_those_that_the_documents_tell_to_create() -> None:
    used: dict[str, set[str]] = {}
    bodies = [*_pods().values(), *(_pod(patch) for patches in _patches().values() for patch in patches)]
    for pod in bodies:
        for name, key in _secrets(pod).values():
            used.setdefault(name, set()).add(key)
    of_kafka = {each["metadata"]["name"] for each in _RESOURCES.values() if each["kind"] == "KafkaUser"}
    assert used == _SECRETS | {name: {"password"} for name in of_kafka}
    document = (_ROOT / "docs/operations.md").read_text(encoding="utf-8")
    for name, keys in _SECRETS.items():
        assert f"create secret generic {name}" in document
        for key in keys:
            assert key in document, key


def test_each_process_connects_as_its_own_database_user() -> None:
    assert {
        name: {variable: key for variable, (secret, key) in _secrets(pod).items() if secret == "ras-database"}
        for name, pod in _pods().items()
    } == {
        "Deployment/ras-ingest": {"RAS_DATABASE_URL": "ingest"},
        "Deployment/ras-publish": {"RAS_DATABASE_URL": "publish"},
        "Deployment/ras-project": {"RAS_DATABASE_URL": "project"},
        "Deployment/ras-serve": {"RAS_DATABASE_URL": "serve", "RAS_DATABASE_WRITE_URL": "operate"},
        "Deployment/ras-serve-assessments": {"RAS_DATABASE_URL": "serve"},
        "Job/ras-init": {"RAS_DATABASE_URL": "owner"},
        "CronJob/ras-check": {"RAS_DATABASE_URL": "operate"},
    }
    cluster = _RESOURCES["Cluster/ras-postgres"]["spec"]
    roles = cluster["managed"]["roles"]
    assert {role["name"] for role in roles} == set(grants.ROLES)
    assert all(role["login"] and not role["superuser"] for role in roles)
    assert cluster["bootstrap"]["initdb"]["encoding"] == "UTF8"
    assert _pods()["Job/ras-init"]["containers"][0]["args"] == ["init", "--upgrade", "--grants"]


def test_the_topics_are_those_of_the_code() -> None:
    topics = {
        each["spec"]["topicName"]: each["spec"]
        for each in _RESOURCES.values()
        if each["kind"] == "KafkaTopic"
    }
    assert {name: spec["partitions"] for name, spec in topics.items()} == partitions_by_topic()
    for name, spec in topics.items():
        assert spec["config"]["max.message.bytes"] == MAX_MESSAGE_BYTES
        assert spec["config"].get("cleanup.policy") == ("compact" if name == PUBLISHER_POSITION else None)


@pytest.mark.parametrize(
    ("user", "wanted"),
    [
        ("ras-ingest", kafka_acls.ingester(Settings.model_fields["consumer_group"].default)),
        ("ras-publish", kafka_acls.publisher(Settings.model_fields["transactional_id"].default)),
        ("ras-operate", kafka_acls.operator()),
        ("ras-init", kafka_acls.initialiser()),
    ],
)
def test_a_user_of_kafka_has_exactly_the_acls_that_the_documents_list(
    user: str, wanted: set[kafka_acls.Acl]
) -> None:
    given = {
        (acl["resource"]["type"], acl["resource"].get("name", ""), operation)
        for acl in _RESOURCES[f"KafkaUser/{user}"]["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    assert given == wanted


def test_ingesters_are_scaled_by_the_lag_of_every_input_topic_up_to_its_partitions() -> None:
    scaled = _RESOURCES["ScaledObject/ras-ingest"]["spec"]
    assert scaled["maxReplicaCount"] == min(partitions_by_topic()[topic] for topic in INPUT_TOPICS)
    assert scaled["minReplicaCount"] >= 1
    assert f"Deployment/{scaled['scaleTargetRef']['name']}" in _RESOURCES
    assert [trigger["metadata"]["topic"] for trigger in scaled["triggers"]] == list(INPUT_TOPICS)
    assert {trigger["metadata"]["consumerGroup"] for trigger in scaled["triggers"]} == {
        Settings.model_fields["consumer_group"].default
    }
