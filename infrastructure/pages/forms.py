"""The forms of the pages, read within bounds."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.types import Message

from infrastructure.http.problems import Problem

_MOST_BYTES: Final = 100_000
"""Of a form without a file: a token and a few short texts."""
_FIELDS: Final = 8


async def form_of(request: Request, *, most: int = _MOST_BYTES) -> FormData:
    """Return the form in the body, which may have one file: then the caller closes it.

    Raises Problem 413 for a body of more than `most` bytes, as it comes: a file goes to the disk otherwise, whatever
    its size. Starlette raises its HTTPException for a body that is not a form.
    """
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await request.receive()
        taken += len(message.get("body", b""))
        if taken > most:
            raise Problem(413, f"The form is longer than {most:,} bytes.")
        return message

    return await Request(request.scope, counted).form(max_files=1, max_fields=_FIELDS, max_part_size=most)
