"""The time of an answer that shows nothing is a whole number of steps."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.services.even import rest

SPENT = st.floats(0, 60)
STEP = st.floats(0.001, 1)


@given(SPENT, STEP)
def test_what_is_spent_and_what_is_waited_are_whole_steps(spent: float, step: float) -> None:
    steps = (spent + rest(spent, step)) / step
    assert math.isclose(steps, round(steps), abs_tol=1e-6)
    assert round(steps) >= 1


@given(SPENT, STEP)
def test_nobody_waits_longer_than_a_step(spent: float, step: float) -> None:
    assert 0 <= rest(spent, step) <= step * (1 + 1e-9)


@given(SPENT)
def test_without_a_step_nobody_waits(spent: float) -> None:
    assert rest(spent, 0) == 0
