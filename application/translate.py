"""Reads a message: into commands on the aggregates it concerns, or into the reason for a dead letter.

Everything here is a function of the bytes and the time of receipt: no state, no I/O. What a message of
each topic asks for is in `translated_messages.py`; what makes a message unreadable is here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from pydantic import ValidationError

from application.contracts import incoming as wire
from application.messages import IncomingMessage
from application.tracing import traceparent_of
from application.translated_messages import FAST_READERS, READERS, TranslatedMessage
from domain.dead_letters import Reason
from domain.immutable import immutable
from domain.times import in_utc
from domain.values import Causation

FUTURE_TOLERANCE: Final = timedelta(days=365)
"""A fact from further ahead than this is garbage; believed, it would outrank every true result."""

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR: Final = _EARLIEST.year
_SHOWN_ERRORS: Final = 5


@immutable()
class Rejection:
    """Why a message cannot be ingested. `detail` never repeats values: they may be personal."""

    reason: Reason
    detail: str
    causation: Causation


def translate(
    message: IncomingMessage, *, received_at: datetime, future_tolerance: timedelta = FUTURE_TOLERANCE
) -> TranslatedMessage | Rejection:
    """Read one message of an input topic."""
    if message.value is None:
        return _rejection(Reason.NO_VALUE, "The record has no value (a tombstone).", message, received_at)
    statement = _quickly(message, message.value, received_at, future_tolerance)
    if statement is not None:
        return statement
    reader, to_statement = READERS[message.topic]
    times: list[tuple[str, datetime]] = []
    try:
        envelope = reader.model_validate_json(message.value, context=times)
    except ValidationError as error:
        return _rejection(*_explained(error), message, received_at)
    if (b"NaN" in message.value or b"Infinity" in message.value) and not _is_json(message.value):
        return _rejection(Reason.NOT_JSON, "NaN and Infinity are not JSON.", message, received_at)
    if b"\\u0000" in message.value and _holds_nul(json.loads(message.value)):
        detail = "A text holds the character U+0000, which PostgreSQL cannot store."
        return _rejection(Reason.NOT_STORABLE, detail, message, received_at)
    statement = to_statement(envelope, message, _causation(envelope, message, received_at))
    times.append(("record time", statement.happened_at))
    implausible = _implausible(times, received_at, future_tolerance)
    if implausible is not None:
        return Rejection(Reason.IMPLAUSIBLE_TIME, implausible, statement.causation)
    return statement


def _quickly(
    message: IncomingMessage, value: bytes, received_at: datetime, future_tolerance: timedelta
) -> TranslatedMessage | None:
    """Read a message that is as nearly all are; None where the model must read it."""
    fast_reader = FAST_READERS.get(message.topic)
    if fast_reader is None:
        return None
    last_year = (received_at + future_tolerance).year
    envelope = fast_reader.read(value, last_year)
    if envelope is None:
        return None
    _, to_statement = READERS[message.topic]
    statement = to_statement(envelope, message, _causation(envelope, message, received_at))
    return statement if _FIRST_YEAR <= statement.happened_at.year < last_year else None


def _implausible(
    times: Sequence[tuple[str, datetime]], received_at: datetime, future_tolerance: timedelta
) -> str | None:
    """Return what is wrong with the first of `times` that cannot be true, None where all can."""
    latest = received_at + future_tolerance
    last_year = latest.year
    for field, time in times:
        if _FIRST_YEAR <= time.year < last_year:
            continue  # nearly all, for a fraction of what the comparisons cost
        at = in_utc(time)
        if at > latest:
            return (
                f"{field} is {at.isoformat()}, more than {future_tolerance.days} days after the message was "
                f"received ({received_at.isoformat()})."
            )
        if at < _EARLIEST:
            return f"{field} is {at.isoformat()}, before 1970."
    return None


def unreadable(message: IncomingMessage, detail: str, *, received_at: datetime) -> Rejection:
    """Return that the bytes in Kafka could not be made into a proper record; `message` holds what there is."""
    return _rejection(Reason.UNREADABLE, detail, message, received_at)


def _rejection(reason: Reason, detail: str, message: IncomingMessage, received_at: datetime) -> Rejection:
    unread = Causation(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        received_at=received_at,
        traceparent=traceparent_of(message.headers),
    )
    return Rejection(reason, detail, unread)


def _causation(envelope: wire.Envelope[Any], message: IncomingMessage, received_at: datetime) -> Causation:
    in_envelope = (envelope.metadata or {}).get("traceparent")
    return Causation(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        received_at=received_at,
        event_id=envelope.event_id,
        correlation_id=envelope.correlation_id,
        traceparent=traceparent_of(message.headers, in_envelope),
    )


def _explained(error: ValidationError) -> tuple[Reason, str]:
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    if errors[0]["type"] == "json_invalid":
        return Reason.NOT_JSON, errors[0]["msg"]
    shown = [f"{_place(e['loc'])}: {e['msg']}" for e in errors[:_SHOWN_ERRORS]]
    if len(errors) > _SHOWN_ERRORS:
        shown.append(f"and {len(errors) - _SHOWN_ERRORS} more")
    return Reason.CONTRACT_VIOLATION, "; ".join(shown)


def _place(location: tuple[int | str, ...]) -> str:
    """Name where in the message an error is; keys that the sender made up are not repeated."""
    known = (str(part) if isinstance(part, int) or part in wire.FIELD_NAMES else "…" for part in location)
    return ".".join(known) or "message"


def _is_json(value: bytes) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(map(_holds_nul, value))
