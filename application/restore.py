"""What was said before a restore, and so need not be said again.

A store that was restored to an earlier day takes in again what Kafka still has. The same facts come in, but
not in the same order: an announcement can get another place in its stream, and so another event id. Two
announcements are one when they say the same of the same batch.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import orjson

_DIGEST_BYTES: Final = 16


def saying_of(announcement: bytes | None) -> bytes | None:
    """Return a digest of what a published announcement says, None for what is no announcement of ours.

    Its times, its ids and whom it came from are left out: they differ between two tellings.
    """
    try:
        envelope: dict[str, Any] = orjson.loads(announcement or b"")
        data = envelope["data"]
        if "overall_status" in data:
            said = [data["batch_id"], envelope["metadata"]["revision"], data["overall_status"]]
        else:
            said = [data["batch_id"], data["assessment_job_id"], data["rankings_summary"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES).digest()
