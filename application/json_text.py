"""How answers are written as JSON: one form for HTTP, the live stream and commands."""

from __future__ import annotations

import orjson


def json_bytes(body: object) -> bytes:
    """Return `body` as compact JSON. Times must have a zone; those in UTC end in `Z`.

    Upstream's front end refuses a time without a zone, and by default one with an offset too. Raises
    orjson.JSONEncodeError for what is not JSON.
    """
    return orjson.dumps(body, option=orjson.OPT_UTC_Z)
