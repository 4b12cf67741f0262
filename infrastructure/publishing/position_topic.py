"""The publisher's position in Kafka, and whether it fits the store.

It is a record in a compacted topic, keyed by transactional id, with a mark of the event at it and, after a restore,
the position up to which announcements are compared with what was said before.
"""

from __future__ import annotations

from typing import NamedTuple

import orjson

from application.envelopes import OutgoingMessage
from application.topics import PUBLISHER_POSITION
from infrastructure.errors import OperatorError
from infrastructure.eventstore.publisher_position import PositionCopy
from infrastructure.kafka.committed_records import committed_in
from infrastructure.publishing.parked_messages import Parked, ParkedMessage


class PublisherPositionError(OperatorError):
    """The position cannot be trusted; the text says what is known and what to do."""


class PublishedPosition(NamedTuple):
    """A position in Kafka. Events up to `compared_to` are published only if they were not published before.

    Of what the events up to `position` send, `parked` is not sent yet.
    """

    position: int
    mark: str | None
    compared_to: int = 0
    parked: Parked = ()

    def message(self, transactional_id: str) -> OutgoingMessage:
        """Return the record to write."""
        written: dict[str, object] = {"position": self.position, "mark": self.mark}
        if self.compared_to:
            written["compared_to"] = self.compared_to
        if self.parked:
            written["parked"] = [tuple(each) for each in self.parked]
        return OutgoingMessage(PUBLISHER_POSITION, transactional_id.encode(), orjson.dumps(written), ())


async def read_position(bootstrap_servers: str, transactional_id: str) -> PublishedPosition | None:
    """Return what was last committed for this transactional id, None if there is nothing.

    Raises aiokafka's errors when the broker is unavailable.
    """
    found: PublishedPosition | None = None
    async with committed_in(bootstrap_servers, [(PUBLISHER_POSITION, 0)]) as records:
        async for record in records.read({}):
            if record.key == transactional_id.encode() and record.value is not None:
                written = orjson.loads(record.value)
                found = PublishedPosition(
                    int(written["position"]),
                    written.get("mark"),
                    int(written.get("compared_to", 0)),
                    tuple(ParkedMessage(*each) for each in written.get("parked", ())),
                )
    return found


async def restored(found: PublishedPosition | None, copy: PositionCopy, head: int) -> str | None:
    """Return a sentence if the store, which ends at `head`, is not the one that was published from."""
    if found is None:
        return None
    position = found.position
    known = f"Kafka's topic {PUBLISHER_POSITION} says that everything up to {position} is published, but "
    todo = (
        "Let the ingesters take in again what Kafka has, until `ras status` shows no lag; then start with "
        "`ras publish --after-restore`, which leaves out what the out-topics show to have been said."
    )
    if position > head:
        return (
            f"{known}the event store ends at {head}: it was restored to an earlier day. Events {head + 1} to "
            f"{position} are out in the world and not in the store. {todo}"
        )
    [mark] = await copy.marks(position)
    if found.mark is None or found.mark == mark:
        return None
    return (
        f"{known}the event store holds another event there: it was restored to an earlier day and has given "
        f"out these numbers again, up to {head}. What is out in the world under them is not what they stand "
        f"for now. {todo}"
    )


def check_memory(found: PublishedPosition | None, copy: int) -> None:
    """Raise PublisherPositionError if the topic knows less than the copy in PostgreSQL."""
    position = found.position if found else 0
    if position < copy:
        raise PublisherPositionError(
            f"Kafka's topic {PUBLISHER_POSITION} says that {position or 'nothing'} is published, but "
            f"PostgreSQL remembers {copy}: the topic has lost its memory. Events {position + 1} to "
            f"{copy} would be sent a second time. Start with `ras publish --resume-at {copy}` to go on "
            "after them, or with another number if you know better."
        )


def check_resumable(resumed: int, head: int) -> None:
    """Raise PublisherPositionError if `resumed` lies behind the end of the store."""
    if resumed > head:
        raise PublisherPositionError(
            f"The event store ends at {head}: with `--resume-at {resumed}` the events up to {resumed}, which are "
            f"still to come, would never be published. Give a number up to {head}."
        )
