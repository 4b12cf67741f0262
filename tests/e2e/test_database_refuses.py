"""PostgreSQL answers, and refuses: each role names the fault, waits where waiting helps, and loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

import psycopg
import pytest
from psycopg import sql

from infrastructure.demo.stream import stream
from tests.support.accounts import check_published_once, taken_in, wait_until_settled
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_POSITIONS: Final = {"ingest": "intake/%", "publish": "publisher/%", "project": "projection/%"}
_WAITED_OUT: Final = {
    "53100": "The disk of PostgreSQL is full",
    "55P03": "Another session holds a lock",
    "XX000": "an error inside itself",
}
_MESSAGES: Final = list(stream(20_261_130, 2 * len(_WAITED_OUT), class_sizes=(1, 2)))


@contextmanager
def _refusing(url: str, names: str, code: str) -> Iterator[None]:
    """Let every move of positions whose names are like `names` fail with `code`."""
    with psycopg.connect(url, autocommit=True) as dba:
        dba.execute(
            sql.SQL(
                "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN RAISE EXCEPTION 'by a test' USING ERRCODE = {}; END$$"
            ).format(sql.Literal(code))
        )
        dba.execute(
            sql.SQL(
                "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON ras.positions FOR EACH ROW "
                "WHEN (NEW.name LIKE {}) EXECUTE FUNCTION public.refuse()"
            ).format(sql.Literal(names))
        )
        try:
            yield
        finally:
            dba.execute("DROP FUNCTION public.refuse() CASCADE")


def test_each_role_names_what_the_server_refuses_waits_and_goes_on(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    started = {name: ras.start(name) for name in _POSITIONS}
    for role in started.values():
        role.wait_until_ready()
    left = iter(_MESSAGES)
    share = len(_MESSAGES) // len(_WAITED_OUT)
    for code, words in _WAITED_OUT.items():
        # The ingester's own part first: without it the others have nothing to do.
        with _refusing(ras.database_url, "%", code):
            ras_topics.send(list(islice(left, share)))
            started["ingest"].wait_for_health("degraded", saying=words)
        with _refusing(ras.database_url, "projection/%", code):
            started["project"].wait_for_health("degraded", saying=words)
        with _refusing(ras.database_url, "publisher/%", code):
            started["publish"].wait_for_health("degraded", saying=words)
    ras_topics.send(list(left))

    wait_until(lambda: taken_in(store) == len(_MESSAGES), what="all is in", state=lambda: taken_in(store))
    wait_until_settled(store, ras_topics, ras.transactional_id)
    check_published_once(store, ras_topics, ras.transactional_id)
    assert all("Traceback" not in role.output for role in started.values())


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("42501", "The database user lacks a privilege"),
        ("42P01", "A table of RAS is gone"),
        ("23514", "A constraint, rule or trigger of the database refuses a row"),
        ("P0001", "A function or trigger of the database failed"),
    ],
)
def test_an_ingester_that_waiting_does_not_help_ends_with_a_sentence_and_loses_nothing(
    ras: Installation, ras_topics: Topics, store: PostgresProbe, code: str, words: str
) -> None:
    role = ras.start("ingest").wait_until_ready()
    with _refusing(ras.database_url, "intake/%", code):
        ras_topics.send(_MESSAGES[:4])
        assert role.wait_for_end(deadline_s=60) == 1

    assert words in role.output
    assert "Traceback" not in role.output
    ras.start("ingest").wait_until_ready()
    wait_until(lambda: taken_in(store) == 4, what="all is in", state=lambda: taken_in(store))
