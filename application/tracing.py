"""Trace context as it travels with messages (W3C Trace Context, level 2).

One text, carried along: from the message into the event that it caused, and from the event into the
messages that tell of it. What is no valid context is as good as none; it never makes a message poison.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HEADER: Final = "traceparent"

_LONGEST: Final = 256
_USUAL: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""What nearly every sender writes: version 00."""
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?")


def traceparent_of(headers: Iterable[tuple[str, bytes]], in_envelope: object = None) -> str | None:
    """Return the context of a message: the header's, else the envelope's, else None.

    A header goes before the envelope because anyone who forwards a message can set only the header.
    """
    for name, value in headers:
        if name == HEADER and (found := valid_traceparent(value.decode("ascii", "replace"))):
            return found
    return valid_traceparent(in_envelope)


def valid_traceparent(given: object) -> str | None:
    """Return `given` if it is a valid traceparent, None otherwise.

    One of a later version of the standard is reduced to what version 00 says of it (section 4.3).
    """
    if not isinstance(given, str) or len(given) > _LONGEST:
        return None
    if _USUAL.fullmatch(given):
        return given
    if (match := _FORM.fullmatch(given)) is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    if version == "00":
        return None if more else given
    return f"00-{trace_id}-{span_id}-{int(flags, 16) & 3:02x}"


def is_sampled(traceparent: str) -> bool:
    """Whether the caller records its part of the trace; `traceparent` must be valid."""
    return int(traceparent[-2:], 16) & 1 == 1
