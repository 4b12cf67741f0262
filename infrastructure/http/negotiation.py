"""What a client prefers: weighted lists as in `Accept` and `Accept-Encoding` (RFC 9110, section 12.4)."""

from __future__ import annotations

from collections.abc import Sequence


def weights(field: str) -> dict[str, float]:
    """Return the weight, 0 to 1, of each name in a header field, in small letters. One that makes no sense is 0."""
    found: dict[str, float] = {}
    for part in field.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name:
            found[name] = _weight(parameters)
    return found


def _weight(parameters: Sequence[str]) -> float:
    given = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0
