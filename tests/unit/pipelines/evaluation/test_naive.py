"""Repeating the last season, by hand."""

import numpy as np

from pipelines.data.dataset import Rows
from pipelines.evaluation.naive import naive_figures, seasonal_naive


def rows(past: list[list[float]], future: list[list[float]]) -> Rows:
    """One variable, besides one more feature."""
    features = np.array(past, np.float32)[..., None].repeat(2, axis=2)
    features[..., 1] = -1
    return Rows(features, np.array(future, np.float32)[..., None])


def test_each_step_is_the_one_a_season_before() -> None:
    part = rows([[1, 2, 3, 4, 5]], [[0, 0, 0, 0]])
    assert seasonal_naive(part, 1)[..., 0].tolist() == [[5, 5, 5, 5]]
    assert seasonal_naive(part, 3)[..., 0].tolist() == [[3, 4, 5, 3]]
    assert seasonal_naive(part, 5)[..., 0].tolist() == [[1, 2, 3, 4]]


def test_skill_is_the_error_that_was_spared() -> None:
    part = rows([[1, 2]], [[3, 4]])
    assert naive_figures(part, 2, mae=0.5) == {"naive_mae": 2.0, "skill": 0.75}
    assert naive_figures(part, 2, mae=4) == {"naive_mae": 2.0, "skill": -1.0}
    assert naive_figures(rows([[1, 2]], [[1, 2]]), 2, mae=0.5) == {"naive_mae": 0.0, "skill": 0.0}
