"""Where the assessment app is: addresses that are taken, and those that stop the start."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from infrastructure.settings import Settings


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:4004", "https://assessments.example", "http://[::1]:4004/behind/a/gateway/"]
)
def test_a_web_address_is_taken(url: str) -> None:
    assert Settings(_env_file=None, assessments_url=url).assessments_url == url


@pytest.mark.parametrize("url", ["", "   "])
def test_an_empty_one_is_none(url: str) -> None:
    assert Settings(_env_file=None, assessments_url=url).assessments_url is None


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:4004",
        "localhost:4004",
        "ftp://127.0.0.1",
        "http://",
        "http://:4004",
        "http://host:port",
        "http://host:99999",
        "http://host:0",
        "http://[::1",
        "http://host/?query",
        "http://host/#fragment",
        "http://somebody:password@host",
        "http://ho st",
        "http://host/a\nb",
    ],
)
def test_anything_else_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValidationError, match="must be an address such as"):
        Settings(_env_file=None, assessments_url=url)
