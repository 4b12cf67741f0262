"""Values at the edges of what JSON, Unicode, PostgreSQL and the contracts can hold, and texts that are not JSON."""

from __future__ import annotations

import json
import re
from random import Random
from typing import Any, Final

TIMES: Final = (
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59"),
    *("0001-01-01T00:00:00+23:59", "2026-01-01T00:00:00+16:00", "2026-01-01T00:00:00-16:00"),
    *("2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00-23:59", "2026-01-01T00:00:00+15:59"),
    *("1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-03-01T24:00:00Z"),
    *("2026-03-01T23:59:60Z", "2026-03-29T02:30:00+01:00", "2026-03-01T00:00:00.123456789Z", "2026-03-01"),
    *("2026-03-01T00:00:00", "2026-W10-1", "20260301T000000Z", "1772323200", "now", "infinity", "-infinity"),
)
NUMBERS: Final = (
    *(0, -0.0, 1, -1, 0.5, 1e-320, 5e-324, 1e308, -1e308, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1),
    *(2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, float("nan"), float("inf"), float("-inf"), True, False),
)
TEXTS: Final = (
    *("", " ", "\t\n", "null", "0", "-1", "NaN", "a" * 255, "a" * 256, "a" * 4097, "a" * 100_000),
    *("\0", "a\0b", "\ud800", "\udfff\ud800", "\ufffe\uffff", "\U0010ffff" * 255, "é" * 255, "e\u0301"),
    *("\x1b[2J\x9b\u202e", "\u2028\u2029", "\ufeff", "\u0130\u0131ß", "../../etc/passwd", "%00%n%s", "\\"),
    *(
        "'; DROP SCHEMA ras CASCADE; --",
        "batch-",
        "assessment-",
        "dead-letter-",
        "intake/a/0",
        "{{7*7}}",
        "=1+1",
    ),
    *("__proto__", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT")
DEPTHS: Final = (50, 150, 1000, 100_000)
NESTS: Final[tuple[Any, ...]] = (
    *(None, [], {}, [[]], [None], [{}], {"": {}}, {"": None}, {"\0": 1}, {"a" * 300: "b"}),
    {str(number): number for number in range(2000)},
    list(range(2000)),
)
EXTREMES: Final[tuple[Any, ...]] = (*TIMES, *NUMBERS, *TEXTS, *NESTS, *(f"@deep {n}@" for n in DEPTHS))


def extreme_for(value: Any, random: Random) -> Any:
    """Return an extreme, more often than not of the kind that `value` is of."""
    if random.random() < 0.3:
        return random.choice(EXTREMES)
    if isinstance(value, str):
        return random.choice(TIMES if _TIME.match(value) else TEXTS)
    return random.choice(NUMBERS if isinstance(value, int | float) else NESTS)


def as_bytes(value: Any, random: Random) -> bytes:
    """Return `value` as JSON in one of the ways to write it; a text "@deep 50@" becomes 50 lists in each other."""
    if random.random() < 0.5:
        text = json.dumps(value, ensure_ascii=False)
    else:
        text = json.dumps(value, separators=(",", ":"))  # a surrogate alone stays valid UTF-8 this way
    for depth in DEPTHS:
        text = text.replace(f'"@deep {depth}@"', "[" * depth + "]" * depth)
    return text.encode("utf-8", "surrogatepass")


def spoiled(value: bytes, random: Random) -> bytes | None:
    """Return what is left of a message: cut, altered in a byte, doubled, with a key twice, or none."""
    at = random.randrange(len(value) + 1)
    match random.randrange(8):
        case 0:
            return value[:at]
        case 1:
            return value[:at] + random.randbytes(1) + value[at + 1 :]
        case 2:
            return (
                value[:at]
                + random.choice((b"\x00", b"\xff", b"\\u0000", b'"', b"}", b"\xed\xa0\x80"))
                + value[at:]
            )
        case 3:
            return value + value
        case 4:
            return random.choice(
                (b"", b"\xef\xbb\xbf" + value, value.decode("utf-8", "replace").encode("utf-16"), None)
            )
        case 5:
            return value[:at] + value[at + random.randrange(200) :]
        case _:
            return _with_a_key_twice(value, random)


def _with_a_key_twice(value: bytes, random: Random) -> bytes:
    """Write one member of an object twice; readers of JSON take the last."""
    keys = [at for at in range(len(value) - 1) if value[at : at + 2] == b'":']
    if not keys:
        return value
    end = random.choice(keys)
    begin = value.rfind(b'"', 0, end)
    first = as_bytes(random.choice(EXTREMES), random)
    return value[:begin] + value[begin : end + 2] + first + b"," + value[begin:]
