"""One stored event that cannot be read: commands name it in a sentence, and what does not need it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from domain.batch_events import BatchAssessmentCompleted, BatchProgressed, BatchResultsReady
from infrastructure.postgres.schema import initialise
from infrastructure.role_status import Condition
from projections.catalogue import PROJECTIONS
from tests.support.commands import ras
from tests.support.following import at_work, crew, until
from tests.support.postgres_probe import opened_store, probe
from tests.support.postgres_server import PostgresServerUnderTest, fresh_database
from tests.support.rebuilding import Models

READY = BatchResultsReady.topic


@pytest.fixture(scope="module")
def damaged(postgres_server: PostgresServerUnderTest) -> Iterator[tuple[Models, str]]:
    """Read models that are up to date, and an announcement in the middle of the log that is damaged since."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(postgres_server.url))
        initialise(url)
        database = stack.enter_context(probe(url))
        models = Models(url, stack.enter_context(opened_store(url)), database)
        models.record()
        models.follow()
        [[stream_id, version]] = models.database.rows(
            "UPDATE ras.stored_events SET state = 'xx' WHERE notification_id ="
            " (SELECT min(notification_id) FROM ras.stored_events WHERE topic = %s)"
            " RETURNING originator_id, originator_version",
            READY,
        )
        yield models, f"Event {version} of stream {stream_id} (topic '{READY}') cannot be read"


@pytest.mark.parametrize("names", [[], ["batch_results"]])
def test_a_rebuild_ends_with_the_sentence_and_leaves_the_live_side(
    damaged: tuple[Models, str], names: list[str]
) -> None:
    models, sentence = damaged
    before = models.rows()

    ran = ras("rebuild", *names, database_url=models.url)

    assert (ran.exit_code, ran.output) == (1, "")
    assert ran.errors.startswith(f"ras: {sentence}: ")
    assert "Nothing was switched" in ran.errors
    assert len(ran.errors.splitlines()) == 1
    assert models.rows() == before


def test_a_read_model_that_does_not_need_it_is_rebuilt(damaged: tuple[Models, str]) -> None:
    models, _ = damaged

    assert ras("rebuild", "assessments", database_url=models.url).exit_code == 0


@pytest.mark.parametrize("position", [0, 10**6])
def test_the_outbox_shows_everything_else_and_notes_it(damaged: tuple[Models, str], position: int) -> None:
    models, sentence = damaged
    models.database.execute(
        "INSERT INTO ras.positions (name, position) VALUES ('publisher/ras-publisher', %s)"
        " ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        position,
    )

    shown = ras("outbox", "--json", "--limit", "1000", database_url=models.url).json

    [(announcements, steps)] = models.database.rows(
        "SELECT count(*) FILTER (WHERE topic = ANY(%s)), count(*) FILTER (WHERE topic = %s)"
        " FROM ras.stored_events",
        [READY, BatchAssessmentCompleted.topic],
        BatchProgressed.topic,
    )
    [none, those] = sorted([shown["pending"], shown["published"]], key=len)
    assert (none, len(those)) == ([], 2 * (announcements - 1) + steps)
    places = [entry["position"] for entry in those]
    assert places == sorted(places, reverse=position > 0)
    assert any(note.startswith(sentence) for note in shown["notes"])


async def test_the_projections_that_follow_its_topic_wait_and_the_others_go_on(
    damaged: tuple[Models, str],
) -> None:
    models, sentence = damaged
    models.database.execute("DELETE FROM ras.positions WHERE name LIKE 'projection/%%'")
    head = models.database.value("SELECT max(notification_id) FROM ras.stored_events")

    async with crew(models.url) as members:
        followers = [members.follower(projection) for projection in PROJECTIONS]
        async with at_work(members, *followers):
            await until(
                lambda: models.lagging().keys() == {"batch_results", "teacher_inbox"},
                what=f"the others are at {head}",
                state=models.lagging,
            )
            for follower in followers:
                is_stuck = follower.name in models.lagging()
                await until(
                    lambda f=follower, stuck=is_stuck: (  # type: ignore[misc]
                        f.status.condition is (Condition.DEGRADED if stuck else Condition.OK)
                    ),
                    what=f"{follower.name} says how it is",
                )
                assert follower.status.reason.startswith(sentence if is_stuck else "")
