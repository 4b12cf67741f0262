"""What every response to a browser carries, and how a page keeps to its own policy."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ALWAYS = {
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
}


def policy_of(headers: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the directives of a Content-Security-Policy."""
    directives = (each.split() for each in headers["content-security-policy"].split(";"))
    return {name: values for name, *values in directives}


def check_headers(headers: Mapping[str, str], *, is_private: bool = True) -> None:
    """Check the headers of any response, with its names in lower case."""
    assert {name: headers.get(name) for name in _ALWAYS} == _ALWAYS
    policy = policy_of(headers)
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert not [each for values in policy.values() for each in values if "*" in each or "//" in each]
    assert headers["cache-control"] == ("private, no-store" if is_private else "no-cache")


def check_page(headers: Mapping[str, str], content: str) -> str:
    """Check a rendered page: its headers, and that nothing in it breaks its policy. Returns its nonce."""
    check_headers(headers)
    policy = policy_of(headers)
    [script] = policy["script-src"]
    nonce = re.fullmatch(r"'nonce-([\w-]{20,})'", script)
    assert nonce, script
    assert policy["style-src"] == policy["connect-src"] == policy["form-action"] == ["'self'"]
    assert policy["require-trusted-types-for"] == ["'script'"]
    assert policy["trusted-types"] == ["ras"]
    for tag in re.findall(r"<script[^>]*>", content):
        assert f'nonce="{nonce[1]}"' in tag
        assert "src=" in tag
    assert not re.search(r"<[^>]*\s(style|on\w+)=|<style|javascript:", content)
    return nonce[1]
