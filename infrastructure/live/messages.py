"""What a live stream carries: messages as upstream's clients read them, each with the id to resume from.

An id is opaque to clients. It holds the place in the teachers' inbox and that in the batches (notification ids of the
log), and the epoch: the generations of both read models, which a rebuild moves on, and a fingerprint of the log as far
as the id was made from it, which a restored log does not share.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from orjson import loads

from application.json_text import json_bytes
from domain.inbox import NotificationRead
from domain.notifications import BATCH_STATUS_UPDATED, teacher_notification
from projections.recorded import Recorded

READ: Final = "notification_read"
RESYNC: Final = "resync"
READY: Final = "stream_ready"
RECONNECT: Final = "reconnect"
EXPIRED: Final = "identity_expired"

_ID: Final = re.compile(r"(\d{1,18})-(\d{1,18})-(\d{1,18})-([0-9a-f]{12})-(\d{1,18})-(\d{1,18})", re.ASCII)


class Epoch(NamedTuple):
    """What two ids must share to be of one history; `fingerprint` is that of the log up to `proven`."""

    inbox_generation: int
    batches_generation: int
    proven: int
    fingerprint: str


class StreamId(NamedTuple):
    """A place in the stream: everything up to `inbox` and `batches` has been seen."""

    epoch: Epoch
    inbox: int
    batches: int

    def __str__(self) -> str:
        """Return it as clients get it."""
        return "-".join(map(str, (*self.epoch, self.inbox, self.batches)))

    @classmethod
    def parse(cls, text: str) -> StreamId | None:
        """Return the id in `text`, None if it cannot be one of ours."""
        found = _ID.fullmatch(text)
        if found is None:
            return None
        inbox_generation, batches_generation, proven, fingerprint, inbox, batches = found.groups()
        epoch = Epoch(int(inbox_generation), int(batches_generation), int(proven), fingerprint)
        made = cls(epoch, int(inbox), int(batches))
        return made if max(made.inbox, made.batches) <= made.epoch.proven else None


@dataclass(frozen=True, slots=True)
class Message:
    """One message, encoded once for however many read it. `position` is 0 for what is of no place in the inbox."""

    kind: str
    id: StreamId
    json: bytes
    position: int = 0

    def as_event(self) -> bytes:
        """Return it as a server-sent event."""
        return b"id: %b\nevent: %b\ndata: %b\n\n" % (str(self.id).encode(), self.kind.encode(), self.json)

    def no_earlier_than(self, place: StreamId) -> Message:
        """Return it with an id from which a client that is at `place` gets nothing twice."""
        if self.id.inbox >= place.inbox:
            return self
        epoch = max(self.id.epoch, place.epoch, key=lambda each: each.proven)
        return message(self.kind, StreamId(epoch, place.inbox, self.id.batches), loads(self.json))


def message(kind: str, stream_id: StreamId, content: Mapping[str, Any], *, position: int = 0) -> Message:
    """Return a message: flat JSON, in which our own members win over those of `content`."""
    body = {**content, "notification_type": kind, "id": str(stream_id)}
    return Message(kind, stream_id, json_bytes(body), position)


def from_event(recorded: Recorded, stream_id: StreamId) -> tuple[str, Message]:
    """Return the teacher and the message for an event of the inbox."""
    event = recorded.event
    if isinstance(event, NotificationRead):
        content = {"notification_id": str(event.notification_id), "read_at": event.happened_at}
        return event.teacher_id, message(READ, stream_id, content, position=recorded.notification_id)
    sent = teacher_notification(event)
    content = {**_flat(sent._asdict(), event.happened_at), "notification_id": sent.event_id}
    return sent.teacher_id, message(
        sent.notification_type, stream_id, content, position=recorded.notification_id
    )


def from_row(row: Mapping[str, Any], stream_id: StreamId) -> Message:
    """Return the message for a row of the inbox."""
    content = {**_flat(row, row["happened_at"]), "notification_id": str(row["notification_id"])}
    return message(row["notification_type"], stream_id, content, position=row["position"])


def state(body: Mapping[str, Any], row: Mapping[str, Any], stream_id: StreamId) -> Message:
    """Return how a batch stands, from the status that the API reports and the batch's row.

    The correlation id is that of the step that its teacher was told last, as on Kafka.
    """
    content = {
        "category": "batch_progress",
        "priority": "standard",
        "action_required": False,
        "deadline": None,
        "batch_id": row["batch_id"],
        "class_id": row["class_id"],
        "correlation_id": row["correlation_id"],
        "timestamp": row["last_updated"],
        "status": body["overall_status"],
        "total_essays": body["essay_count"],
        "completed_essays": body["completed_essay_count"],
        "failed_essays": body["failed_essay_count"],
        "processing_phase": body["current_phase"],
        "completed_at": body["processing_completed_at"],
        "revision": row["revision"],
    }
    return message(BATCH_STATUS_UPDATED, stream_id, content)


def _flat(notification: Mapping[str, Any], happened_at: datetime) -> dict[str, Any]:
    return {
        **notification["payload"],
        "category": notification["category"],
        "priority": notification["priority"],
        "action_required": notification["action_required"],
        "deadline": None,
        "batch_id": notification["batch_id"],
        "class_id": notification["class_id"],
        "correlation_id": notification["correlation_id"],
        "timestamp": happened_at,
    }
