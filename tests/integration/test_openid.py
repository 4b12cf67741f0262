"""Signing in at an identity provider: a real one on this machine, which insists on PKCE and on its client's secret."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from infrastructure.http.sessions import COOKIE
from tests.support.http import Api, api
from tests.support.live import PLAIN_HTTP
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, REDIRECT, OpenIdProvider, openid_provider
from tests.support.people import SESSION_KEY

_TICKET_COOKIE: Final = "ras_sign_in"
_NO_DATABASE: Final = "postgresql://127.0.0.1:1/none"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    """One provider for all tests; each leaves it as it was."""
    with openid_provider() as running:
        yield running


@pytest.fixture(scope="module")
def ras(provider: OpenIdProvider) -> Iterator[Api]:
    """The API: signing in at a provider needs no database."""
    with api(_NO_DATABASE, **_settings(provider.issuer)) as running:
        yield running


def _settings(issuer: str) -> dict[str, Any]:
    return {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "session_keys": SESSION_KEY,
    }


class Attempt:
    """A browser that has been led to the provider: what it keeps, and where it is led back to."""

    def __init__(self, ras: Api) -> None:
        self._ras = ras
        begun = ras.send("GET", "/sign-in/openid")
        assert begun.status_code == 303
        self.place = begun.headers["location"]
        self.cookie = begun.headers["set-cookie"]

    def answered(self, **form: str) -> str:
        """Fill in the provider's form; return the address to which it leads back."""
        answer = httpx.post(self.place, data=form, verify=PLAIN_HTTP)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].removeprefix("http://ras.test")

    def back(self, address: str, *, cookie: str | None = None) -> httpx.Response:
        """Follow the way back."""
        return self._ras.send("GET", address, {"Cookie": (cookie or self.cookie).split(";")[0]})


def with_query(address: str, changed: Mapping[str, str]) -> str:
    """Return an address with other values in its query."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    return f"{urlsplit(address).path}?{urlencode({**query, **changed})}"


def test_somebody_signs_in_with_roles_and_a_session_of_twelve_hours(ras: Api) -> None:
    page = ras.send("GET", "/sign-in")
    assert 'href="/sign-in/openid"' in page.text
    attempt = Attempt(ras)
    asked = parse_qs(urlsplit(attempt.place).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [REDIRECT]
    assert asked["scope"] == ["openid"]
    assert re.search(r"HttpOnly; Max-Age=600; Path=/sign-in; SameSite=lax", attempt.cookie)

    back = attempt.back(attempt.answered(user="teacher-0007", role="operator"))

    assert (back.status_code, back.headers["location"]) == (303, "/operator")
    cookies = back.headers.get_list("set-cookie")
    assert any(each.startswith(f"{COOKIE}=") and "Max-Age=43200" in each for each in cookies)
    assert any(each.startswith(f'{_TICKET_COOKIE}=""') for each in cookies)


def test_an_answer_works_once(ras: Api) -> None:
    attempt = Attempt(ras)
    address = attempt.answered(user="teacher-0007")
    assert attempt.back(address).status_code == 303
    again = attempt.back(address)
    assert again.status_code == 401
    assert "invalid_grant" in again.text


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"state": "another"}, "another attempt"),
        ({"state": "ä"}, "another attempt"),
        ({"iss": "https://elsewhere.example"}, "another identity provider"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"error": "<b>access_denied"}, "&lt;b&gt;access_denied"),
    ],
)
def test_an_answer_that_is_not_to_this_attempt_signs_nobody_in(
    ras: Api, changed: dict[str, str], reason: str
) -> None:
    attempt = Attempt(ras)
    refused = attempt.back(with_query(attempt.answered(user="teacher-0007"), changed))
    assert (refused.status_code, COOKIE in refused.cookies) == (401, False)
    assert reason in refused.text


def test_who_refuses_at_the_provider_is_told_so(ras: Api) -> None:
    attempt = Attempt(ras)
    refused = attempt.back(attempt.answered())
    assert refused.status_code == 401
    assert "access_denied" in refused.text


def test_an_answer_from_another_browser_signs_nobody_in(ras: Api) -> None:
    mine, theirs = Attempt(ras), Attempt(ras)
    address = theirs.answered(user="teacher-0007")
    for cookie in (mine.cookie, f"{_TICKET_COOKIE}=forged", "x=y", f"{_TICKET_COOKIE}={'x' * 9000}"):
        refused = mine.back(address, cookie=cookie)
        assert (refused.status_code, COOKIE in refused.cookies) == (401, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"aud": "another-client"},
        {"iss": "https://elsewhere.example"},
        {"exp": time.time() - 3600},
        {"sub": ""},
        {"sub": 7},
    ],
)
def test_an_id_token_that_is_not_for_this_attempt_signs_nobody_in(
    ras: Api, provider: OpenIdProvider, changed: dict[str, Any]
) -> None:
    attempt = Attempt(ras)
    provider.changed = changed
    try:
        refused = attempt.back(attempt.answered(user="teacher-0007"))
    finally:
        provider.changed = {}
    assert (refused.status_code, COOKIE in refused.cookies) == (401, False)


def test_an_id_token_of_another_key_signs_nobody_in(ras: Api, provider: OpenIdProvider) -> None:
    attempt = Attempt(ras)
    provider.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    try:
        refused = attempt.back(attempt.answered(user="teacher-0007"))
    finally:
        provider.signing_key = provider.key
    assert (refused.status_code, COOKIE in refused.cookies) == (401, False)


def test_a_provider_that_does_not_answer_is_a_page_that_says_so() -> None:
    with api(_NO_DATABASE, **_settings("http://127.0.0.1:1")) as running:
        answer = running.send("GET", "/sign-in/openid")
    assert answer.status_code == 503
    assert "The identity provider does not answer" in answer.text


def test_without_a_provider_there_is_no_such_way() -> None:
    with api(_NO_DATABASE, session_keys=SESSION_KEY) as running:
        assert running.send("GET", "/sign-in/openid").status_code == 404
        assert "/sign-in/openid" not in running.send("GET", "/sign-in").text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"oidc_issuer": "https://id.example"}, "belong together"),
        ({"oidc_issuer": "http://id.example", "oidc_client_id": "x"}, "https"),
        ({"oidc_issuer": "https://id.example", "oidc_client_id": "x", "oidc_scope": "email"}, "oidc_scope"),
    ],
)
def test_settings_that_make_no_sense_stop_the_start(given: dict[str, str], words: str) -> None:
    from infrastructure.settings import Settings

    with pytest.raises(ValueError, match=words):
        Settings(_env_file=None, **given)  # type: ignore[arg-type]
