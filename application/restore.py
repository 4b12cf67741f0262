"""What was published before a restore, and so must not be published again.

A store that was restored to an earlier day ingests again what Kafka still has. The same facts come in, but
not in the same order: an announcement can get another place in its stream, and so another event id. Two
announcements are one when they say the same of the same batch, and two notices of a dead letter when it is the same
entry in the letter's stream, whose id comes from where the message lies.
"""

from __future__ import annotations

from collections.abc import Container
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from application.envelopes import OutgoingMessage
from domain.notifications import BATCH_STATUS_UPDATED

_DIGEST_BYTES: Final = 16
_PROGRESS: Final = (
    "batch_id",
    "revision",
    "status",
    "processing_phase",
    "completed_essays",
    "failed_essays",
    "total_essays",
)


def announcement_digest(record: bytes | None) -> bytes | None:
    """Return a digest of what a published announcement, progress or notice says, None for any other record.

    Its times, its ids and whom it came from are left out: they differ between two tellings.
    """
    try:
        envelope: dict[str, Any] = orjson.loads(record or b"")
        data = envelope["data"]
        if "overall_status" in data:
            said = [data["batch_id"], envelope["metadata"]["revision"], data["overall_status"]]
        elif "stream_id" in data:
            said = [data["stream_id"], data["stream_version"]]
        elif data.get("notification_type") == BATCH_STATUS_UPDATED:
            said = [BATCH_STATUS_UPDATED, *(data["payload"][name] for name in _PROGRESS)]
        else:
            said = [data["batch_id"], data["assessment_job_id"], data["rankings_summary"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES).digest()


def with_unused_id(message: OutgoingMessage, used: Container[bytes]) -> OutgoingMessage:
    """Return `message` under an event id of which the bytes are not in `used`.

    An id comes from the place of an event in its stream, and after a restore another event may stand there: anyone who
    drops repeats by their ids would never hear of it. The new id follows from the old one, so that a retry is a repeat.
    """
    old = dict(message.headers)["event_id"].decode()
    free = UUID(old)
    while free.bytes in used:
        free = uuid5(free, "after a restore")
    if str(free) == old:
        return message
    envelope = orjson.loads(message.value)
    envelope["event_id"] = str(free)
    headers = tuple(
        (name, str(free).encode() if name == "event_id" else value) for name, value in message.headers
    )
    return message._replace(value=orjson.dumps(envelope), headers=headers)
