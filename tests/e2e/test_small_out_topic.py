"""An out-topic whose max.message.bytes is small: what fits goes out, and what does not is named."""

from __future__ import annotations

from typing import Final

from application.topics import BATCH_RESULTS_READY
from infrastructure.demo.stream import stream
from tests.support.accounts import check_published_once, taken_in, wait_until_settled
from tests.support.postgres_probe import PostgresProbe
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_129, 40, class_sizes=(1, 3)))


def test_messages_that_fit_one_by_one_go_out_in_smaller_batches(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ras_topics.delete(BATCH_RESULTS_READY)
    ras_topics.create(BATCH_RESULTS_READY, {"max.message.bytes": "4000"}, partitions=3)
    ras.start("ingest").wait_until_ready()
    ras_topics.send(_MESSAGES)
    wait_until(lambda: taken_in(store) == len(_MESSAGES), what="all is in", state=lambda: taken_in(store))

    ras.start("publish")

    wait_until_settled(store, ras_topics, ras.transactional_id, projected=False)
    check_published_once(store, ras_topics, ras.transactional_id)


def test_a_message_that_fits_nowhere_is_named_with_its_topic(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    ras_topics.delete(BATCH_RESULTS_READY)
    ras_topics.create(BATCH_RESULTS_READY, {"max.message.bytes": "500"}, partitions=3)
    ras.start("ingest").wait_until_ready()
    ras_topics.send(_MESSAGES)

    reason = ras.start("publish").wait_for_health("degraded")

    assert f"The topic {BATCH_RESULTS_READY} refuses the event" in reason
    assert "max.message.bytes" in reason
    assert "does not answer" not in reason
