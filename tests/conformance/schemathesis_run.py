"""One run of schemathesis over an API: its settings, its process, and an account of what was answered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from infrastructure.http.assessments.routes import assessments_document
from infrastructure.http.query.app import openapi_document
from tests.conformance.installation import HEADERS, Known, Served

Document = Mapping[str, Any]
Operation = tuple[str, str]
"""Method and path of the document."""

_DEADLINE_S: Final = 1800
_SHARE_OF_KNOWN: Final = 0.7
_ROOT: Final = Path(__file__).parents[2]
_DOCUMENTS: Final[dict[str, Callable[[], Document]]] = {
    "query": openapi_document,
    "assessments": assessments_document,
}
APIS: Final = tuple(_DOCUMENTS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `statuses`: how often each operation answered what."""

    exit_code: int
    output: str
    statuses: Mapping[Operation, Counter[int]]

    @property
    def requests(self) -> int:
        """How many were answered."""
        return sum(counts.total() for counts in self.statuses.values())

    def never_succeeded(self) -> list[Operation]:
        """Return the operations of which no request was answered with 2xx."""
        return [
            operation
            for operation, counts in self.statuses.items()
            if not any(200 <= status < 300 for status in counts)
        ]

    def faults(self) -> list[Operation]:
        """Return the operations that answered 500, whatever schemathesis makes of it, or did not answer."""
        return [operation for operation, counts in self.statuses.items() if counts[500] or counts[0]]

    def lines(self) -> Iterator[str]:
        """Yield the account for people."""
        for (method, path), counts in self.statuses.items():
            answers = ", ".join(f"{status} {number} times" for status, number in sorted(counts.items()))
            yield f"{method} {path}: {answers}"


def run(
    name: str, served: Served, folder: Path, *, seed: int, examples: int, stateful: bool = False
) -> Outcome:
    """Send generated requests to the API `name`: `examples` per operation besides those that cover its schema.

    The same seed sends the same requests, but for those that are `stateful`: they come of earlier answers.
    """
    document = _DOCUMENTS[name]()
    folder.mkdir()
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "schemathesis.toml").write_text("\n".join(_settings(document, served, stateful=stateful)))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "--no-color"]
    options = ["--url", served.urls[name], "--seed", str(seed), "--max-examples", str(examples)]
    done = subprocess.run(
        [*command, "run", "openapi.json", *options, "--continue-on-failure", "--report-har-path", "run.har"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "CONFORMANCE_KNOWN_RUN": served.run_id},
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
    )
    output = done.stdout + done.stderr
    assert (folder / "run.har").exists(), output
    return Outcome(done.returncode, output, _statuses(document, folder / "run.har"))


def _settings(document: Document, served: Served, *, stateful: bool) -> Iterator[str]:
    """Yield the lines of its settings: our key, and for most of the requests ids that exist."""
    operations = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    names = {f"path.{name}" for path in document["paths"] for name in re.findall(r"{(\w+)}", path)}
    general = {name: values for name, values in served.known.items() if name in names}
    own = {name: known for name, known in served.known_to.items() if name in operations}
    yield 'hooks = "tests.conformance.hooks"'
    for phase in ("examples", "coverage", "fuzzing"):
        yield f'phases.{phase}.operation-ordering = "none"'
        yield f"phases.{phase}.extra-data-sources.responses = false"
    yield "phases.fuzzing.error-feedback.enabled = false"
    yield f"phases.stateful.enabled = {json.dumps(stateful)}"
    yield "[headers]"
    yield from (f"{name} = {json.dumps(value)}" for name, value in HEADERS.items())
    yield "[dictionaries]"
    for operation, known in {"": general, **own}.items():
        for name, values in known.items():
            yield f'"{operation} {name}" = {{ values = {json.dumps(list(values))} }}'
    yield from _parameters("parameters", "", general)
    for operation, known in own.items():
        yield "[[operations]]"
        yield f"include-name = {json.dumps(operation)}"
        yield from _parameters("operations.parameters", operation, known)


def _parameters(table: str, operation: str, known: Known) -> Iterator[str]:
    yield f"[{table}]"
    for name in known:
        yield f'"{name}" = {{ dictionary = "{operation} {name}", probability = {_SHARE_OF_KNOWN} }}'


def _statuses(document: Document, har: Path) -> dict[Operation, Counter[int]]:
    patterns = {
        (method.upper(), path): re.compile(re.sub(r"{\w+}", "[^/]+", path))
        for path, item in document["paths"].items()
        for method in item
    }
    found: dict[Operation, Counter[int]] = {operation: Counter() for operation in patterns}
    for method, path, status in _answers(har):
        for operation, pattern in patterns.items():
            if operation[0] == method and pattern.fullmatch(path):
                found[operation][status] += 1
                break
    return found


def _answers(har: Path) -> Sequence[tuple[str, str, int]]:
    entries = json.loads(har.read_text())["log"]["entries"]
    return [
        (entry["request"]["method"], urlsplit(entry["request"]["url"]).path, entry["response"]["status"])
        for entry in entries
    ]
