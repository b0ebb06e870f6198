"""Guessing costs time that doubles; a right try forgets; what is remembered is bounded."""

from __future__ import annotations

import pytest

from leafbox.security.dashboard.throttle import FAILURES_FREE, FORGET_S, KEYS_MAX, WAIT_S, WAIT_S_MAX, Throttle

pytestmark = pytest.mark.capability("AP06")


def test_waits_grow_and_end() -> None:
    throttle = Throttle()
    waits = [throttle.failed("ada", 0) for _ in range(FAILURES_FREE + 2)]
    assert waits == [0] * (FAILURES_FREE - 1) + [WAIT_S, WAIT_S * 2, WAIT_S * 4]
    assert throttle.wait_s("ada", WAIT_S * 4) == 0
    assert throttle.wait_s("bob", 0) == 0
    for _ in range(50):
        assert throttle.failed("ada", 0) <= WAIT_S_MAX


def test_a_right_try_and_time_forget() -> None:
    throttle = Throttle()
    for _ in range(FAILURES_FREE):
        throttle.failed("ada", 0)
    throttle.succeeded("ada")
    assert throttle.wait_s("ada", 0) == 0
    for _ in range(FAILURES_FREE - 1):
        throttle.failed("bob", 0)
    assert throttle.failed("bob", FORGET_S + 1) == 0


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle(free=1)
    for number in range(KEYS_MAX + 1):
        throttle.failed(str(number), 0)
    assert throttle.wait_s("0", 0) == 0
    assert throttle.wait_s("1", 0) > 0
