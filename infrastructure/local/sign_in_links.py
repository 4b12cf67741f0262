"""Links by which somebody on this machine signs in to the pages, one for each role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode

import psycopg

from infrastructure.http.identity import EXAMINER, OPERATOR, TEACHER, Identity
from infrastructure.http.sessions import SIGN_IN, issue_ticket, session_until

_SOMEBODY = "teacher-0001"
_NEWEST = """
    SELECT user_id FROM ras_batch_results.batches WHERE user_id IS NOT NULL
    ORDER BY registered_at DESC NULLS LAST LIMIT 1
"""


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


def teacher_of_the_newest_batch(database_url: str) -> str:
    """Return a teacher who has something to see, any name where nobody has."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute(_NEWEST).fetchone()
    return _SOMEBODY if row is None else str(row[0])


def sign_in_lines(links: Mapping[str, str]) -> Iterator[str]:
    """Yield the links as lines for a person."""
    yield "Pages in a browser; each link signs in once, within an hour:"
    for role, link in links.items():
        yield f"  {role:<9} {link}"
