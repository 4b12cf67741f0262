"""Clients that a generator makes from both OpenAPI documents: complete, importable, and working with `ras serve`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from infrastructure.http.assessments.routes import assessments_document
from infrastructure.http.query.app import openapi_document
from tests.support.given import registered, slot_assigned
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.role_process import API_KEY, Installation
from tests.support.school import school_on

_DOCUMENTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "query": openapi_document,
    "assessments": assessments_document,
}
# The generator formats what it has made with other programs, which a test does without.
_CONFIG: Final = "post_hooks: []\n"

_READS_A_BATCH: Final = """
import json, sys
from query.api.default import get_internal_v1_batches_batch_id_status as status
from query.client import Client
client = Client(base_url=sys.argv[1], headers=json.loads(sys.argv[2]), raise_on_unexpected_status=True)
found = status.sync("b1", client=client)
print(json.dumps([type(found).__name__, found.batch_id, [essay.essay_id for essay in found.essays]]))
print(type(status.sync("unknown", client=client)).__name__)
"""
_IMPORTS_ALL: Final = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


def generated(name: str, folder: Path) -> None:
    """Make the client of a document as the package `name` in `folder`. Every warning is a part that is missing."""
    (folder / f"{name}.json").write_text(json.dumps(_DOCUMENTS[name]()))
    (folder / "config.yml").write_text(_CONFIG)
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    where = ["--path", f"{name}.json", "--output-path", name, "--meta", "none", "--config", "config.yml"]
    done = subprocess.run([*command, *where], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr


def run(script: str, *arguments: str, folder: Path) -> list[str]:
    """Run a program that uses generated clients; return its lines."""
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", _DOCUMENTS)
def test_a_client_has_every_operation_and_can_be_imported(name: str, tmp_path: Path) -> None:
    generated(name, tmp_path)

    run(_IMPORTS_ALL, name, folder=tmp_path)
    operations = sum(len(item) for item in _DOCUMENTS[name]()["paths"].values())
    made = [file for file in (tmp_path / name / "api" / "default").glob("*.py") if file.stem != "__init__"]
    assert len(made) == operations


def test_a_client_reads_a_batch(postgres_server: PostgresServerUnderTest, tmp_path: Path) -> None:
    generated("query", tmp_path)
    with (
        fresh_database(postgres_server.url) as url,
        Installation(url, "127.0.0.1:1", tmp_path) as ras,
    ):
        with school_on(url) as school:
            school.hear("b1", registered("e1", "e2"), slot_assigned("e1"), slot_assigned("e2"))
        served = ras.start("serve").wait_until_ready()
        headers = json.dumps({"X-Internal-API-Key": API_KEY, "X-Service-ID": "api-gateway-service"})

        batch, problem = run(_READS_A_BATCH, served.url, headers, folder=tmp_path)

    assert json.loads(batch) == ["BatchStatus", "b1", ["e1", "e2"]]
    assert problem == "Problem"
