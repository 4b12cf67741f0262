"""A NUL in the address of a page: no text in the database holds one, and asking for one is not a fault of the database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.http import Api, client_of
from tests.support.page_routes import PAGES, pages_on, signed_in_by
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain


@pytest.fixture(scope="module")
def api(postgres_server: PostgresServerUnderTest) -> Iterator[Api]:
    """The pages without any data."""
    with fresh_database(postgres_server.url) as url:
        Chain(url)
        with client_of(pages_on(url)) as empty:
            yield empty


@pytest.mark.parametrize(
    "name", ["q", "class", "course", "state", "reason", "topic", "batch", "sort", "cursor"]
)
def test_a_nul_in_the_query_finds_nothing_or_is_refused(api: Api, name: str) -> None:
    for path in PAGES:
        plain = api.send("GET", path, signed_in_by()).status_code
        found = api.send("GET", f"{path}?{name}=a%00b", signed_in_by()).status_code
        assert found in {plain, 400}, path
