"""Every error class of the Kafka client has a sentence of its own, and none sends people to the wrong place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from aiokafka import errors

from infrastructure.kafka import faults


def _classes(root: type[Exception]) -> Iterator[type[Exception]]:
    for found in root.__subclasses__():
        if found.__module__ == errors.__name__ and found is not errors.NoError:
            if found is not errors.BrokerResponseError:  # abstract
                yield found
            yield from _classes(found)


_ALL = sorted({*_classes(errors.KafkaError)}, key=lambda found: found.__name__)
_NO_ANSWER = {
    "BrokerNotAvailableError",
    "KafkaConnectionError",
    "KafkaTimeoutError",
    "KafkaUnavailableError",
    "MetadataEmptyBrokerList",
    "NoBrokersAvailable",
    "NodeNotReadyError",
    "RequestTimedOutError",
    "TooManyInFlightRequests",
}


@pytest.mark.parametrize("found", _ALL, ids=lambda found: found.__name__)
def test_each_error_class_has_a_sentence_that_names_what_and_what_to_do(found: type[Exception]) -> None:
    faults._last_faults.clear()
    error = found("coordinates") if found is not errors.CommitFailedError else found()

    assert any(issubclass(found, row[0]) for row in faults._TABLE)
    told = faults.sentence(error)
    assert told.endswith(".")
    assert ("Kafka does not answer" in told) == (found.__name__ in _NO_ANSWER)
    assert found is errors.CommitFailedError or "coordinates" in told


def test_a_missing_right_names_the_topic() -> None:
    told = faults.sentence(errors.TopicAuthorizationFailedError("huleedu.ras.batch.results.ready.v1"))

    assert "huleedu.ras.batch.results.ready.v1" in told
    assert "ACL" in told
