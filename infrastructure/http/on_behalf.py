"""Requests that a service makes for one teacher: what is another's is not known to them.

`X-On-Behalf-Of: TEACHER` says for whom, or the teacher's own token in `Authorization: Bearer`, which proves it. Such a
request reaches the teacher's batches, essays, judging jobs and notifications, and nothing else: an address that names
none of these is refused, so that a new route is closed until somebody thought of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from infrastructure.http.problems import Problem

HEADER: Final = "X-On-Behalf-Of"
BOUND: Final = "ras.bound"
"""In the scope of a request that is for one teacher."""

_TEACHERS: Final = ("user_id", "teacher_id")
_THINGS: Final = {
    "batch_id": "No batch of this id has been registered.",
    "essay_id": "No batch with this essay has been registered.",
    "job_id": "No judging job of this id is known.",
}


def is_about_a_teacher(names: Collection[str]) -> bool:
    """Whether an address with these parameters is, or may be, one teacher's; no other may be asked for a teacher."""
    return not {*_TEACHERS, *_THINGS}.isdisjoint(names)


class Owners(Protocol):
    """Whose things are."""

    async def is_of(self, teacher: str, kind: str, name: str) -> bool:
        """Whether a thing (`kind`: `batch_id`, `essay_id`, `job_id`) is known and the teacher's alone."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A request for one teacher."""

    teacher: str
    owners: Owners

    async def check(self, path_params: Mapping[str, Any], batch_id: str | None) -> None:
        """Raise Problem 403 for what is said to be another's, 404 for what is not this teacher's.

        `batch_id` is the batch that a query names beside an essay.
        """
        named = [path_params[name] for name in _TEACHERS if name in path_params]
        if any(name != self.teacher for name in named):
            raise Problem(403, f"This request is for the teacher that {HEADER} or the token names.")
        things = [(kind, path_params[kind]) for kind in _THINGS if kind in path_params]
        if not is_about_a_teacher(path_params):
            raise Problem(
                403, f"This is not about one teacher: send it without {HEADER} and without a token."
            )
        if batch_id is not None and "essay_id" in path_params:
            things = [("batch_id", batch_id)]
        for kind, name in things:
            if "\0" in name or not await self.owners.is_of(self.teacher, kind, name):
                raise Problem(404, _THINGS[kind], error="Not found")
