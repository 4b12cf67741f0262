"""Every page in Swedish: without data, without a database, refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support.english_text import english_in
from tests.support.http import Api, client_of
from tests.support.page_routes import NO_DATABASE, PAGES, pages_on, signed_in_by
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain

_SWEDISH: Final = {"Accept-Language": "sv", **signed_in_by()}


@pytest.fixture(scope="module")
def apis(postgres_server: PostgresServerUnderTest) -> Iterator[list[Api]]:
    """The pages without any data, and without a database."""
    with fresh_database(postgres_server.url) as url:
        Chain(url)
        with client_of(pages_on(url)) as empty, client_of(pages_on(NO_DATABASE)) as unavailable:
            yield [empty, unavailable]


def test_the_search_finds_english_that_is_not_marked() -> None:
    assert english_in('<p>Inget</p><p lang="en">It is</p><code>the</code><p title="This is">å</p>No') == [
        "This is",
        "No",
    ]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_shows_english_that_is_not_marked(apis: list[Api], path: str) -> None:
    for api in apis:
        for query in ("", "?page=x&cursor=x&q=x", "?ticket=x"):
            answer = api.send("GET", path + query, _SWEDISH)
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert '<html lang="sv">' in answer.text
                assert english_in(answer.text) == []


def test_refused_forms_are_in_swedish(apis: list[Api]) -> None:
    own, foreign = {"Sec-Fetch-Site": "same-origin"}, {"Origin": "https://elsewhere.example"}
    for headers, form, words in (
        (own, {"token": "x"}, "Inloggning från en portal är inte inställd"),
        (own, {"token": "x" * 200_000}, "Formuläret är längre än"),
        (foreign, {"token": "x"}, "En sida på en annan webbplats"),
    ):
        answer = apis[0].send("POST", "/sign-in", {**_SWEDISH, **headers}, data=form)
        assert answer.status_code >= 400
        assert english_in(answer.text) == []
        assert words in answer.text
