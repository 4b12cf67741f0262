"""File names as people wrote them."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote_to_bytes


def shown_name(recorded: str) -> str:
    """Return the name to show for a file name that may be percent-encoded (RFC 3986, section 2.1).

    A browser encodes a name that it uploads, and upstream passes it on so: `Student%20Name%20(Class).docx`. It is
    decoded once. It stays as recorded where that gives no valid UTF-8, or a control character, which nobody
    wrote into a name.
    """
    if "%" not in recorded:
        return recorded
    try:
        name = unquote_to_bytes(recorded).decode()
    except UnicodeError:
        return recorded
    return recorded if any(unicodedata.category(character) == "Cc" for character in name) else name
