"""Bytes in Kafka from which no proper record can be made: each becomes a dead letter, and the partition goes on."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka.record.util import calc_crc32c

from application.topics import BATCH_ESSAYS_REGISTERED, ESSAY_SLOT_ASSIGNED
from domain.dead_letters import MessageDeadLettered, Reason
from infrastructure.demo.stream import stream
from tests.support.accounts import recorded_events, taken_in
from tests.support.kafka_server import KafkaServer
from tests.support.postgres_probe import PostgresProbe
from tests.support.raw_producer import send_compressed, send_with_header_name
from tests.support.role_process import Installation
from tests.support.topics import Topics
from tests.support.waiting import wait_until

_MESSAGES: Final = list(stream(20_261_127, 4, class_sizes=(2, 5)))
_SLOTS: Final = [message for message in _MESSAGES if message.topic == ESSAY_SLOT_ASSIGNED]
_CRC_AT: Final = 17
_CRC_COVERS_FROM: Final = 21
_ATTRIBUTES_AT: Final = 21
_RECORDS_AT: Final = 61


def _letters(store: PostgresProbe) -> list[MessageDeadLettered]:
    return [event for event in recorded_events(store) if isinstance(event, MessageDeadLettered)]


def _with_checksum(batch: bytearray) -> None:
    struct.pack_into(">I", batch, _CRC_AT, calc_crc32c(bytes(batch[_CRC_COVERS_FROM:])))


def _wrong_checksum(batch: bytearray) -> None:
    batch[-3] ^= 0xFF


def _does_not_decompress(batch: bytearray) -> None:
    batch[_RECORDS_AT:] = b"\x55" * (len(batch) - _RECORDS_AT)
    _with_checksum(batch)


def _unknown_codec(batch: bytearray) -> None:
    batch[_ATTRIBUTES_AT + 1] = (batch[_ATTRIBUTES_AT + 1] & ~0x07) | 0x06
    _with_checksum(batch)


def _cut_off_inside(batch: bytearray) -> None:
    """The first record claims to be longer than the batch."""
    batch[_RECORDS_AT : _RECORDS_AT + 2] = b"\xfe\x7f"
    _with_checksum(batch)


def _alter_on_disk(
    server: KafkaServer, topic: str, partition: int, alter: Callable[[bytearray], None]
) -> None:
    """Alter the first batch of a partition in the broker's file, while the broker is stopped."""
    [segment] = Path(server.data_folder, f"{topic}-{partition}").glob("*.log")
    content = bytearray(segment.read_bytes())
    end = 12 + struct.unpack_from(">i", content, 8)[0]
    batch = content[:end]
    alter(batch)
    assert len(batch) == end
    content[:end] = batch
    segment.write_bytes(content)


def test_a_header_name_that_is_not_utf_8_costs_its_message_alone(
    ras: Installation, ras_topics: Topics, store: PostgresProbe
) -> None:
    first = send_with_header_name(ras_topics.bootstrap_servers, _SLOTS[0], b"lang\xe4\xf6age", partition=0)
    registered = [message for message in _MESSAGES if message.topic == BATCH_ESSAYS_REGISTERED]
    status = ras.run("status", "--json")
    assert status.exit_code == 0, status.output

    ingester = ras.start("ingest").wait_until_ready()
    ras_topics.send(registered)
    wait_until(
        lambda: taken_in(store) == 3 + len(registered), what="all is in", state=lambda: taken_in(store)
    )

    [letter] = _letters(store)
    assert (letter.reason, letter.causation.partition, letter.causation.offset) == (
        Reason.UNREADABLE,
        0,
        first + 1,
    )
    assert letter.detail == "The name of the header 'lang\\\\xe4\\\\xf6age' is not UTF-8."
    assert b64decode(letter.value or "") == _SLOTS[0].value
    ingester.terminate()
    ras.start("ingest").wait_until_ready()  # the position is recognised
    assert ras.run("check").exit_code == 0


@pytest.mark.parametrize(
    ("alter", "named"),
    [
        (_wrong_checksum, "The checksum of the batch is wrong."),
        (_does_not_decompress, "The batch cannot be unpacked"),
        (_unknown_codec, "The batch is compressed with a codec that RAS does not know"),
        (_cut_off_inside, "The batch is damaged"),
    ],
)
def test_a_damaged_batch_becomes_a_letter_that_names_its_offsets(
    ras: Installation,
    ras_topics: Topics,
    store: PostgresProbe,
    restartable_kafka: KafkaServer,
    alter: Callable[[bytearray], None],
    named: str,
) -> None:
    of_one_key = [message for message in _SLOTS if message.key == _SLOTS[0].key]
    codec = "none" if alter is _cut_off_inside else "lz4"
    send_compressed(ras_topics.bootstrap_servers, of_one_key, codec)
    partition = next(p for (_, p), end in ras_topics.ends([ESSAY_SLOT_ASSIGNED]).items() if end)
    last = ras_topics.ends([ESSAY_SLOT_ASSIGNED])[ESSAY_SLOT_ASSIGNED, partition] - 1
    send_compressed(ras_topics.bootstrap_servers, of_one_key[:1], "lz4")
    restartable_kafka.stop()
    _alter_on_disk(restartable_kafka, ESSAY_SLOT_ASSIGNED, partition, alter)
    restartable_kafka.start()

    status = ras.run("status", "--json")
    assert status.exit_code == 0, status.output
    ras.start("ingest").wait_until_ready()
    wait_until(lambda: _is_behind(store, partition, last + 1), what="it goes on", state=store.positions)

    letters = _letters(store)
    assert {letter.reason for letter in letters} == {Reason.UNREADABLE}
    [letter] = letters
    assert letter.detail.startswith(named), letter.detail
    assert letter.causation.offset == last
    assert str(last) in letter.detail
    assert letter.value is not None
    shown = ras.run("dead-letters", "list", "--json")
    assert shown.exit_code == 0, shown.output
    lags: set[Any] = {
        r["lag"] for r in json.loads(ras.run("status", "--json").output)["readers"] if r["role"] == "ingest"
    }
    assert lags == {0}


def _is_behind(store: PostgresProbe, partition: int, offset: int) -> bool:
    return store.positions().get(f"intake/{ESSAY_SLOT_ASSIGNED}/{partition}", -1) >= offset
