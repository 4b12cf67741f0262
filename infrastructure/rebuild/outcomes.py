"""What a rebuild reports while it runs, and the outcome for each read model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from infrastructure.rebuild.comparing import Comparison
from infrastructure.rebuild.journal import Build
from infrastructure.rebuild.states import State


class Reporter(Protocol):
    """Receives the progress of a rebuild."""

    def phase(self, what: str, position: int, goal: int) -> None:
        """Begin something: `position` of `goal` (notification ids) is where it starts."""

    def page(self, events: int, reached: int) -> None:
        """Note that so many more events have been read, up to the notification id `reached`."""


class Silent:
    """Tells nobody."""

    def phase(self, what: str, position: int, goal: int) -> None:
        """Say nothing."""

    def page(self, events: int, reached: int) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of one read model. `proven_at` is the position at which both sides were equal."""

    name: str
    version: int
    state: State
    position: int
    resumed: bool
    replaced_version: int | None
    proven_at: int | None
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A new side, proven or abandoned, and what it was compared with at `compared_at`."""

    build: Build
    resumed: bool
    replaced_version: int | None
    compared_at: int
    comparison: Comparison | None

    def outcome(self, build: Build) -> Rebuilt:
        """Return the outcome that is reported once `build` has ended."""
        equal = self.comparison is not None and self.comparison.equal
        return Rebuilt(
            name=build.projection.name,
            version=build.projection.version,
            state=build.state,
            position=build.position,
            resumed=self.resumed,
            replaced_version=self.replaced_version,
            proven_at=self.compared_at if equal else None,
            comparison=self.comparison,
        )


@dataclass(frozen=True, slots=True)
class TurnedBack:
    """A read model whose kept side is live again, at `position`, with the rows of `version`."""

    name: str
    version: int
    position: int
    is_followed: bool


@dataclass(slots=True)
class Speed:
    """How much was filled, and how long that took."""

    events: int = 0
    seconds: float = 0.0

    @property
    def events_per_second(self) -> float:
        """The rate, 0 where nothing was filled."""
        return self.events / self.seconds if self.seconds else 0.0
