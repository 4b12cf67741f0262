"""The headers that protect readers, and the cookie that identifies them: on every response of every page's route."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final
from unittest.mock import patch

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from infrastructure.http.sessions import SESSION_S, SIGN_IN, issue_ticket
from tests.support.http import Api, client_of
from tests.support.page_headers import check_headers, check_page
from tests.support.page_routes import EVERYBODY, NO_DATABASE, PAGES, pages_on, signed_in_by
from tests.support.people import SESSION_KEY
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.projecting import Chain

_LONG_FORM: Final = {"token": "x" * 25_000_000}


@pytest.fixture(scope="module")
def unavailable() -> Iterator[Api]:
    """The pages of a RAS that cannot reach its database."""
    with client_of(pages_on(NO_DATABASE)) as client:
        yield client


@pytest.fixture(scope="module")
def url(postgres_server: PostgresServerUnderTest) -> Iterator[str]:
    """A database without any data."""
    with fresh_database(postgres_server.url) as fresh:
        Chain(fresh)
        yield fresh


@pytest.fixture(scope="module")
def empty(url: str) -> Iterator[Api]:
    """The pages of a RAS without any data."""
    with client_of(pages_on(url)) as client:
        yield client


def check(answer: httpx.Response) -> None:
    """Check a response, as a page where it is one."""
    if answer.headers.get("content-type", "").startswith("text/html"):
        check_page(answer.headers, answer.text)
    else:
        check_headers(answer.headers)


def test_there_are_routes_to_walk_over() -> None:
    assert {
        "/",
        "/sign-in",
        "/sign-out",
        "/batches/1",
        "/operator/letters/1",
        "/examiner/jobs/1/report.html",
    } <= {*PAGES}


@pytest.mark.parametrize("path", PAGES)
def test_every_page_carries_them_whoever_asks_and_whether_there_are_data_or_not(
    empty: Api, unavailable: Api, path: str
) -> None:
    statuses = set()
    for api in (empty, unavailable):
        for headers in ({}, signed_in_by()):
            for method in ("GET", "HEAD", "PUT", "OPTIONS"):
                answer = api.send(method, path, headers)
                check(answer)
                statuses.add(answer.status_code)
    assert 500 not in statuses


@pytest.mark.parametrize("path", [path for path in PAGES if path not in {"/", "/sign-in/openid"}])
def test_refused_forms_carry_them(empty: Api, path: str) -> None:
    foreign = {**signed_in_by(), "Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    check(empty.send("POST", path, foreign))


def test_a_page_that_works_and_each_fault_carry_them(empty: Api, unavailable: Api) -> None:
    found = {
        200: empty.send("GET", "/batches", signed_in_by()),
        401: empty.send("GET", "/sign-in?ticket=x"),
        400: empty.send("GET", "/batches?page=x", signed_in_by()),
        404: empty.send("GET", "/no-such-page"),
        413: empty.send("POST", "/sign-in", {"Sec-Fetch-Site": "same-origin"}, data=_LONG_FORM),
        503: unavailable.send("GET", "/batches", signed_in_by()),
    }
    assert {status: answer.status_code for status, answer in found.items()} == {each: each for each in found}
    for answer in found.values():
        check(answer)


def test_a_fault_of_our_own_carries_each_of_them_once() -> None:
    async def broken(_request: Request) -> Response:
        raise RuntimeError("a fault for this test")

    app = pages_on(NO_DATABASE)
    app.router.routes.insert(0, Route("/broken", broken))
    with client_of(app) as client:
        answer = client.send("GET", "/broken")
    assert answer.status_code == 500
    check(answer)


@pytest.mark.parametrize("path", ["/static/ras.css", "/static/ras.js", "/static/icon.svg"])
def test_a_file_carries_them_and_is_asked_for_again(unavailable: Api, path: str) -> None:
    answer = unavailable.send("GET", path)
    assert answer.status_code == 200
    check_headers(answer.headers, is_private=False)
    again = unavailable.send("GET", path, {"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    check_headers(again.headers, is_private=False)
    check(unavailable.send("GET", path + ".missing"))


def test_the_documentation_carries_them(unavailable: Api) -> None:
    check_headers(unavailable.send("GET", "/docs").headers, is_private=False)


def test_no_two_pages_have_the_same_nonce(unavailable: Api) -> None:
    pages = [unavailable.send("GET", "/sign-in") for _ in range(20)]
    assert len({check_page(each.headers, each.text) for each in pages}) == 20


@pytest.mark.parametrize(("host", "is_secure"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_cookies_are_for_the_server_alone_and_need_tls_beyond_this_machine(
    url: str, host: str, is_secure: bool
) -> None:
    ticket = issue_ticket([SESSION_KEY], SIGN_IN, EVERYBODY)
    with client_of(pages_on(url, api_host=host)) as client:
        session = client.send("GET", f"/sign-in?ticket={ticket}").headers["set-cookie"]
        language = client.send("GET", "/sign-in?lang=sv").headers["set-cookie"]
        ended = client.send("POST", "/sign-out", {"Sec-Fetch-Site": "same-origin"}).headers["set-cookie"]
    for cookie in (session, language, ended):
        flags = {each.strip().lower() for each in cookie.split(";")}
        assert {"httponly", "samesite=lax", "path=/"} <= flags
        assert ("secure" in flags) == is_secure
    assert f"Max-Age={SESSION_S}" in session


def test_a_session_is_signed_again_after_an_hour_by_the_newest_key_and_ends_with_its_keys() -> None:
    now = time.time()
    with patch("time.time", return_value=now - 3700):
        old = signed_in_by()
    with client_of(pages_on(NO_DATABASE, session_keys=f"{'n' * 40},{SESSION_KEY}")) as client:
        renewed = client.send("GET", "/batches", old).headers["set-cookie"].partition(";")[0]
        assert "set-cookie" not in client.send("GET", "/batches", {"Cookie": renewed}).headers
    with client_of(pages_on(NO_DATABASE, session_keys="n" * 40)) as client:
        assert client.send("GET", "/batches", {"Cookie": renewed}).status_code == 503
        assert client.send("GET", "/batches", old).headers["location"] == "/sign-in"


def test_a_session_ends_after_its_time_whatever_its_keys() -> None:
    with patch("time.time", return_value=time.time() - SESSION_S - 60):
        old = signed_in_by()
    with client_of(pages_on(NO_DATABASE)) as client:
        assert client.send("GET", "/batches", old).headers["location"] == "/sign-in"
