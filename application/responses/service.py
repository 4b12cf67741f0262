"""Responses that every application of RAS gives."""

from __future__ import annotations

from pydantic import with_config
from typing_extensions import TypedDict


class Problem(TypedDict):
    """RFC 9457, with upstream's `error` beside"""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    correlation_id: str | None
    error: str


@with_config(extra="allow")
class Health(TypedDict):
    """How the process is, and why"""

    status: str
