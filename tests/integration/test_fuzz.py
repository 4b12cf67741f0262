"""Hostile messages through a whole RAS, the short run; `make fuzz` has the long one."""

from __future__ import annotations

from application.contracts.incoming import WireModel
from application.topics import INPUT_TOPICS
from application.translated_messages import READERS
from tests.fuzz.messages import fields_at_extremes, fields_of, mutated_messages
from tests.fuzz.whole_ras import put_through
from tests.support.upstream import every_place, fullest_messages

FEW = 400
SEED = 20_261_126


def test_mutated_messages_are_all_accounted_for_and_stop_nothing(database_url: str) -> None:
    outcome = put_through(database_url, mutated_messages(SEED, FEW))

    assert outcome.messages == FEW
    assert outcome.counts.recorded > FEW // 5
    assert len(outcome.reasons) > 3
    assert outcome.published > outcome.counts.dead_lettered


def test_every_field_of_every_contract_at_its_extremes_stops_nothing(database_url: str) -> None:
    outcome = put_through(database_url, fields_at_extremes(SEED, of_each=2))

    fields = sum(
        len({*every_place(fullest_messages()[topic]), *fields_of(READERS[topic][0])})
        for topic in INPUT_TOPICS
    )
    assert outcome.messages == 3 * fields
    assert outcome.counts.recorded > fields


def test_the_same_seed_draws_the_same_messages() -> None:
    assert list(mutated_messages(3, 50)) == list(mutated_messages(3, 50))
    assert list(mutated_messages(3, 50)) != list(mutated_messages(4, 50))


def test_no_field_of_a_contract_is_forgotten() -> None:
    found = {place[-1] for topic in INPUT_TOPICS for place in fields_of(READERS[topic][0])}

    assert {name for model in _models(WireModel) for name in model.model_fields} <= found | {"data"}


def _models(base: type[WireModel]) -> set[type[WireModel]]:
    return {base}.union(*map(_models, base.__subclasses__()))
