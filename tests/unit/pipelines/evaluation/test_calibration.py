"""Calibration, by hand."""

import numpy as np
import pytest

from pipelines.evaluation.calibration import BINS, calibrate


def test_who_is_right_as_often_as_it_says_has_no_error() -> None:
    probabilities = np.tile([0.75, 0.25], (4, 1))
    found = calibrate(np.array([0, 0, 0, 1]), probabilities, np.zeros(4, np.int64))
    assert found.error == pytest.approx(0)
    assert found.rows.sum() == found.rows[int(0.75 * BINS)] == 4


def test_the_error_is_weighted_by_rows() -> None:
    # Three rows at 0.9 of which one is right, one row at 0.6 that is right: ¾·|⅓ - 0.9| + ¼·|1 - 0.6|.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    found = calibrate(np.array([0, 1, 1, 0]), probabilities, np.zeros(4, np.int64))
    assert found.error == pytest.approx(0.75 * abs(1 / 3 - 0.9) + 0.25 * 0.4)


def test_bins_hold_their_upper_ends() -> None:
    probabilities = np.array([[1.0, 0.0], [2 / 3, 1 / 3]])
    found = calibrate(np.array([0, 0]), probabilities, np.zeros(2, np.int64))
    assert np.flatnonzero(found.rows).tolist() == [BINS * 2 // 3 - 1, BINS - 1]


def test_no_probability_is_lost() -> None:
    found = calibrate(np.array([1]), np.array([[1.0, 0.0]]), np.array([1]))  # nothing predicts a class so
    assert found.rows.tolist() == [1, *[0] * (BINS - 1)]
    assert found.error == 1
