"""Finds open dead letters and parked messages that carry a batch's ids: often the cause of a problem."""

from __future__ import annotations

import shlex

from application.responses.dead_letters import DeadLetterPage
from application.responses.history import PutAside, PutAsideMessage
from domain.dead_letters import PARKED


def put_aside(batch_id: str, page: DeadLetterPage) -> PutAside:
    """Return what a page of open letters that carry the batch's ids says, with the command to look at each.

    `complete` is false where there may be more than the page holds.
    """
    return {
        "messages": [
            {
                "id": letter["position"],
                "reason": letter["reason"],
                "topic": letter["topic"],
                "partition": letter["partition"],
                "offset": letter["offset"],
                "received_at": letter["received_at"],
                "detail": letter["detail"],
                "command": f"ras dead-letters show {letter['position']}",
            }
            for letter in page["dead_letters"]
        ],
        "complete": page["next_cursor"] is None,
        "fault": None,
        "command": _command(batch_id),
    }


def not_searched(batch_id: str, fault: str) -> PutAside:
    """Return that the letters cannot be searched now."""
    return {"messages": [], "complete": False, "fault": fault, "command": _command(batch_id)}


def sentences(found: PutAside) -> list[str]:
    """Return what `put_aside` found in plain words, nothing where it found nothing."""
    if found["fault"] is not None:
        return [f"Whether a dead letter carries an id of this batch is not known: {found['fault']}"]
    lines = [_sentence(message) for message in found["messages"]]
    if not found["complete"]:
        lines.append(
            f"There may be more open messages that carry an id of this batch: `{found['command']}` searches all."
        )
    return lines


def _command(batch_id: str) -> str:
    # An id that begins with a dash is not an option.
    return f"ras dead-letters list --batch={shlex.quote(batch_id)}"


def _sentence(message: PutAsideMessage) -> str:
    place = f"{message['topic']}/{message['partition']}/{message['offset']}"
    if message["reason"] == PARKED:
        return (
            f"Parked message {message['id']} ({place}) carries an id of this batch: `{message['command']}`."
        )
    return (
        f"Open dead letter {message['id']} ({message['reason']}, {place}) carries an id of this batch: "
        f"`{message['command']}`."
    )
