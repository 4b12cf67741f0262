"""The states of a rebuild: which steps there are, and that nothing else is a step."""

from __future__ import annotations

import pytest

from infrastructure.rebuild.states import UNDER_WAY, ImpossibleStepError, State, Step, after


def test_the_ordinary_course() -> None:
    state = State.FILLING
    for step in (Step.FILL, Step.PROVE, Step.SWAP):
        state = after(state, step)

    assert state is State.SWAPPED
    assert state not in UNDER_WAY


def test_a_proof_is_made_again_by_whoever_resumes() -> None:
    assert after(State.PROVEN, Step.RESUME) is State.CATCHING_UP
    with pytest.raises(ImpossibleStepError):
        after(after(State.PROVEN, Step.RESUME), Step.SWAP)


def test_going_back_and_forth() -> None:
    assert after(State.SWAPPED, Step.ROLL_BACK) is State.ROLLED_BACK
    assert after(State.ROLLED_BACK, Step.ROLL_BACK) is State.SWAPPED


@pytest.mark.parametrize("state", sorted(UNDER_WAY))
def test_whatever_is_under_way_can_be_resumed_and_abandoned(state: State) -> None:
    assert after(state, Step.RESUME) in UNDER_WAY
    assert after(state, Step.ABANDON) is State.ABANDONED


@pytest.mark.parametrize("state", [State.ABANDONED, State.SWAPPED, State.ROLLED_BACK])
def test_what_has_ended_is_neither_resumed_nor_switched_to(state: State) -> None:
    for step in (Step.FILL, Step.RESUME, Step.PROVE, Step.SWAP, Step.ABANDON):
        with pytest.raises(ImpossibleStepError, match=f"{state} cannot {step}"):
            after(state, step)


@pytest.mark.parametrize("state", [State.FILLING, State.CATCHING_UP])
def test_nothing_unproven_is_switched_to(state: State) -> None:
    with pytest.raises(ImpossibleStepError):
        after(state, Step.SWAP)
