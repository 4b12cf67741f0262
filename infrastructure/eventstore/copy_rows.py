"""Events as rows of PostgreSQL's binary COPY format, so that a row costs no call into the database driver.

The format is described in PostgreSQL's manual under COPY, "Binary Format". A row is the number of its fields, then
each field's length and bytes. Rows are joined by appending them to each other, so another process can make them.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

COLUMNS: Final = ("originator_id", "originator_version", "topic", "state")
"""The columns of a row, in this order."""

Row = tuple[str, int, str, bytes]
"""The values of these columns."""

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_BEGIN: Final = Struct(">hi").pack
_VERSION: Final = Struct(">iqi").pack
_LENGTH: Final = Struct(">i").pack


def copy_rows(events: Iterable[Row]) -> bytes:
    """Return the rows of `events`. Raises UnicodeEncodeError for an id that is not proper text."""
    rows: list[bytes] = []
    for stream_id, version, topic, state in events:
        stream, kind = stream_id.encode(), topic.encode()
        rows += (
            _BEGIN(len(COLUMNS), len(stream)),
            stream,
            _VERSION(8, version, len(kind)),
            kind,
            _LENGTH(len(state)),
            state,
        )
    return b"".join(rows)


def copied(rows: bytes) -> bytes:
    """Return all that COPY reads, for `rows`."""
    return b"".join((_SIGNATURE, rows, _TRAILER))
