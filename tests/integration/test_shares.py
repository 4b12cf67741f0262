"""Messages of one batch go to one process, in their order."""

from __future__ import annotations

import pytest

from infrastructure.demo.stream import stream
from infrastructure.intake.incoming import Raw
from infrastructure.intake.shares import owner_of, shares
from tests.support.ingesting import batch_id_of_intake, in_partitions, intake_of
from tests.support.live import judging_messages


def test_the_messages_of_a_batch_are_in_one_share_in_their_order() -> None:
    messages = in_partitions(stream(3, 30, class_sizes=(1, 8), disorder=0.3, repeats=0.2))
    records: list[Raw] = [
        (m.topic, m.partition, m.offset, m.timestamp_ms, m.key, m.value, m.headers, None) for m in messages
    ]
    owners = [batch_id_of_intake(intake_of(message)) for message in messages]
    place = {
        record[:3]: (number, owner)
        for number, (record, owner) in enumerate(zip(records, owners, strict=True))
    }

    divided = shares(records, 4)

    assert sum(map(len, divided)) == len(records)
    assert min(map(len, divided)) > 0
    for share in divided:
        numbers = [place[record[:3]][0] for record in share]
        assert numbers == sorted(numbers)
    batches = [{place[record[:3]][1] for record in share} - {None} for share in divided]
    assert sum(map(len, batches)) == len(set(owners) - {None}) == 30


def test_a_judges_answer_goes_with_its_batch_or_else_with_its_job() -> None:
    of_batch = judging_messages("164", note="A", batch_id="of-no-batch")[0].value
    of_job = of_batch.replace(b'"bos_batch_id":"of-no-batch",', b"")

    assert owner_of(of_batch) == "of-no-batch"
    assert owner_of(of_job) == "164"


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"{}", b'{"data":{}}', b'{"data":{"batch_id":7}}', b"\xff", b'{"data":null}'],
)
def test_a_message_that_names_nothing_has_no_owner(value: bytes | None) -> None:
    assert owner_of(value) == ""
