"""Several ingesters on one judging job: its messages have no key, so all of them write to one stream."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

from application.topics import COMPARISON_RESULT
from domain.assessment_events import JudgeDecisionFailed, JudgeDecisionRecorded
from infrastructure.demo.answers import answers
from tests.support.accounts import check_taken_in_once, recorded_events, taken_in
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Sender, Topics
from tests.support.waiting import wait_until

_ANSWERS: Final = 3000
_REPEATS: Final = 300
_AT_A_TIME: Final = 30


@dataclass(frozen=True)
class Answer:
    """A judge's answer on its way into Kafka, without a key."""

    value: bytes
    topic: str = COMPARISON_RESULT
    key: None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def test_every_answer_is_recorded_once_by_ingesters_of_which_one_is_killed(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    dice = Random(20_260_311)
    sent = list(answers(7, _ANSWERS))
    for value in dice.sample(sent, _REPEATS):
        sent.insert(dice.randrange(len(sent)), value)
    with Sender(ras.bootstrap_servers) as sender:
        places = []
        for begin in range(0, len(sent), _AT_A_TIME):
            places += sender.send(map(Answer, sent[begin : begin + _AT_A_TIME]))
    assert len({at.partition for at in places}) == 3, "the producer has used every partition"

    first, second = (ras.start("ingest", batch_max_messages=str(_AT_A_TIME)) for _ in range(2))
    first.wait_until_ready()
    second.wait_until_ready()
    wait_until(
        lambda: taken_in(store) > len(sent) // 3, what="a third is ingested", state=lambda: taken_in(store)
    )
    second.kill()
    wait_until(
        lambda: taken_in(store) == len(sent), what="everything is ingested", state=lambda: taken_in(store)
    )

    check_taken_in_once(store, ras_topics, places)
    events = recorded_events(store)
    assert [event.originator_version for event in events] == list(range(1, _ANSWERS + 1))
    kinds = Counter(type(event) for event in events)
    assert kinds == {JudgeDecisionRecorded: _ANSWERS * 49 // 50, JudgeDecisionFailed: _ANSWERS // 50}
