"""Schema and behaviour agree: all checks of schemathesis on both running APIs. `make conformance` runs longer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.installation import Served, serving
from tests.conformance.schemathesis_run import APIS, run
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database

SEED = 1
FEW = 3


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServerUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Both APIs with something for every operation."""
    with (
        fresh_database(postgres_server.url) as url,
        serving(url, tmp_path_factory.mktemp("conformance")) as found,
    ):
        yield found


@pytest.mark.timeout(1200)  # half a minute of computing, which a loaded machine stretches
@pytest.mark.parametrize("name", APIS)
def test_an_api_does_what_its_document_says_and_every_operation_succeeds(
    served: Served, tmp_path: Path, name: str
) -> None:
    outcome = run(name, served, tmp_path / name, seed=SEED, examples=FEW)

    assert outcome.exit_code == 0, outcome.output
    assert outcome.never_succeeded() == []
    assert outcome.faults() == []
