"""The states of a rebuild as a table. Pure: what a step means in the database is in other modules.

    filling ──> catching up ──> proven ──> swapped <──> rolled back
       │             │   <─────────┘│
       └─────────────┴──────────────┴────> abandoned

Until it is swapped, the live side knows nothing of a rebuild, so abandoning one changes nothing for
anybody. A proof holds for the run that made it: anyone who resumes proves again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a rebuild stands."""

    FILLING = "filling"
    CATCHING_UP = "catching_up"
    PROVEN = "proven"
    SWAPPED = "swapped"
    ROLLED_BACK = "rolled_back"
    ABANDONED = "abandoned"


class Step(StrEnum):
    """What can happen to a rebuild."""

    FILL = "fill"
    """The new side has come to where the log ended when the fill began."""
    PROVE = "prove"
    """Both sides are equal at one position, or there is nothing that they could be compared by."""
    RESUME = "resume"
    """Another run goes on where one was interrupted."""
    SWAP = "swap"
    ROLL_BACK = "roll back"
    ABANDON = "abandon"
    """The rows differ, or what was half-built does not fit this release."""


UNDER_WAY: Final = frozenset({State.FILLING, State.CATCHING_UP, State.PROVEN})

_TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    (State.FILLING, Step.FILL): State.CATCHING_UP,
    (State.FILLING, Step.RESUME): State.FILLING,
    (State.CATCHING_UP, Step.RESUME): State.CATCHING_UP,
    (State.PROVEN, Step.RESUME): State.CATCHING_UP,
    (State.CATCHING_UP, Step.PROVE): State.PROVEN,
    (State.PROVEN, Step.SWAP): State.SWAPPED,
    (State.SWAPPED, Step.ROLL_BACK): State.ROLLED_BACK,
    (State.ROLLED_BACK, Step.ROLL_BACK): State.SWAPPED,
    **{(state, Step.ABANDON): State.ABANDONED for state in UNDER_WAY},
}


class ImpossibleStepError(Exception):
    """A step that the state does not allow: a fault of ours."""


def after(state: State, step: Step) -> State:
    """Return the state to which `step` leads. Raises ImpossibleStepError where it leads nowhere."""
    try:
        return _TRANSITIONS[state, step]
    except KeyError:
        raise ImpossibleStepError(f"A rebuild that is {state} cannot {step}.") from None
