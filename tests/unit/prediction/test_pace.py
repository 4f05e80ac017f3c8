import math

import pytest

from services.prediction.pace import Pace


def test_without_continuous_work_nobody_waits_too_long() -> None:
    pace = Pace(max_s=0.001)
    pace.observe(1, 10.0, more=False)
    pace.observe(1, 20.0, more=False)
    assert (pace.max_rows_ahead, pace.expected_wait_s(10**9)) == (math.inf, 0.0)


def test_the_pace_is_measured_from_the_end_of_one_batch_to_the_end_of_the_next() -> None:
    pace = Pace(max_s=0.5)
    pace.observe(64, 10.0, more=True)
    pace.observe(10, 11.0, more=True)
    assert pace.expected_wait_s(3) == pytest.approx(0.3)
    assert pace.max_rows_ahead == pytest.approx(5)


def test_a_pause_is_no_work() -> None:
    pace = Pace(max_s=0.5)
    pace.observe(10, 10.0, more=True)
    pace.observe(10, 11.0, more=False)
    pace.observe(10, 99.0, more=False)
    assert pace.expected_wait_s(10) == pytest.approx(1.0)


def test_one_slow_batch_is_not_enough_to_turn_anybody_away() -> None:
    pace = Pace(max_s=10)
    pace.observe(1, 0.0, more=True)
    pace.observe(1, 4.0, more=True)
    assert pace.max_rows_ahead == math.inf
    for step in range(1, 101):
        pace.observe(1, 4.0 + step / 25, more=True)
    assert pace.max_rows_ahead == pytest.approx(10 * 101 / 8, rel=0.15)


def test_the_pace_follows_what_is_new() -> None:
    pace = Pace(max_s=1)
    for step in range(100):
        pace.observe(1, step / 10, more=True)
    for step in range(1, 401):
        pace.observe(1, 9.9 + step / 100, more=True)
    assert pace.max_rows_ahead == pytest.approx(100, rel=0.2)


def test_without_a_limit_all_are_let_in() -> None:
    pace = Pace(max_s=math.inf)
    pace.observe(1, 10.0, more=True)
    pace.observe(1, 99.0, more=True)
    assert pace.max_rows_ahead == math.inf


def test_a_batch_of_which_all_had_left_says_nothing() -> None:
    pace = Pace(max_s=0.5)
    pace.observe(1, 10.0, more=True)
    pace.observe(0, 11.0, more=True)
    assert pace.max_rows_ahead == math.inf
