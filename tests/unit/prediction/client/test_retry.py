"""When to ask again, and when not any more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.prediction.client.errors import SettingsError
from services.prediction.client.retry import LAST_MOMENT_S, NO_RETRIES, Deadline, RetryPolicy

POLICY = RetryPolicy(first_pause_s=0.1, longest_pause_s=1.0)


@pytest.mark.parametrize(
    ("num_attempts", "shortest", "longest"),
    [(1, 0.05, 0.1), (2, 0.1, 0.2), (3, 0.2, 0.4), (4, 0.4, 0.8), (5, 0.5, 1.0), (5000, 0.5, 1.0)],
)
def test_pauses_double_up_to_the_longest(num_attempts: int, shortest: float, longest: float) -> None:
    assert POLICY.pause_s(num_attempts, 60, 0.0) == pytest.approx(shortest)
    assert POLICY.pause_s(num_attempts, 60, 1.0) == pytest.approx(longest)


@given(st.integers(1, 1000), st.floats(0, 60), st.floats(0, 1, exclude_max=True))
def test_a_pause_leaves_time_for_another_attempt(num_attempts: int, remaining_s: float, chance: float) -> None:
    pause_s = POLICY.pause_s(num_attempts, remaining_s, chance)
    if remaining_s < LAST_MOMENT_S:
        assert pause_s is None
    else:
        assert pause_s is not None
        assert 0 < pause_s <= remaining_s / 2


def test_attempts_may_be_bounded() -> None:
    assert RetryPolicy(max_attempts=3).pause_s(2, 60, 0.5) is not None
    assert RetryPolicy(max_attempts=3).pause_s(3, 60, 0.5) is None
    assert NO_RETRIES.pause_s(1, 60, 0.5) is None


@pytest.mark.parametrize(
    "wrong", [{"first_pause_s": 0}, {"first_pause_s": 2.0}, {"longest_pause_s": -1}, {"max_attempts": 0}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="retry"):
        RetryPolicy(**wrong)


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), float("inf")])
def test_a_deadline_is_a_number_of_seconds(timeout_s: float) -> None:
    with pytest.raises(SettingsError, match="timeout_s: expected a number of seconds above 0, came "):
        Deadline(timeout_s)


def test_a_deadline_comes_nearer_and_does_not_pass_below_zero() -> None:
    deadline = Deadline(1e-9)
    while deadline.remaining_s() > 0:
        pass
    assert deadline.remaining_s() == 0
    assert 59 < Deadline(60).remaining_s() <= 60
