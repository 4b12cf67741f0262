"""Links by which somebody on this machine signs in to the pages, one for each role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

from infrastructure.http.identity import EXAMINER, OPERATOR, TEACHER, Identity
from infrastructure.http.sessions import SIGN_IN, issue_ticket, session_until


def sign_in_links(api: str, session_key: str, *, teacher: str) -> dict[str, str]:
    """Return a link for a teacher, an examiner and an operator; each works once, within an hour."""
    people = {TEACHER: teacher, EXAMINER: "examiner", OPERATOR: "operator"}
    return {
        role: f"{api}/sign-in?"
        + urlencode(
            {
                "ticket": issue_ticket(
                    [session_key], SIGN_IN, Identity(name, frozenset({TEACHER, role}), session_until())
                )
            }
        )
        for role, name in people.items()
    }


def sign_in_lines(links: Mapping[str, str]) -> Iterator[str]:
    """Yield the links as lines for a person."""
    yield "Pages in a browser; each link signs in once, within an hour:"
    for role, link in links.items():
        yield f"  {role:<9} {link}"
