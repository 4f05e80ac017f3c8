"""Figures of quantities and forecasts, by hand and against scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics

from pipelines.evaluation.regression import errors_by_step, regression_figures

RANDOM = np.random.default_rng(2)


@pytest.mark.parametrize("value", [5.0, 0.1, 0.0])
def test_a_target_that_never_varies_has_no_r2(value: float) -> None:
    truth = np.full(1000, value)
    assert regression_figures(truth, truth + RANDOM.standard_normal(1000))["r2"] == 0


def test_a_target_that_hardly_varies_has_one() -> None:
    truth = 1e6 + RANDOM.standard_normal(100)
    assert regression_figures(truth, truth)["r2"] == 1


def test_a_model_that_predicts_too_little_has_a_positive_residual() -> None:
    figures = regression_figures(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 4.0]))
    assert figures == {
        "mae": pytest.approx(1),
        "rmse": pytest.approx(1),
        "r2": pytest.approx(-0.5),
        "residual_mean": pytest.approx(1 / 3),
    }


def test_r2_of_a_forecast_is_the_mean_over_its_variables() -> None:
    truth = RANDOM.standard_normal((50, 6, 2)) * [1, 1000]
    predicted = truth + RANDOM.standard_normal((50, 6, 2)) * [0.5, 100]
    expected = sklearn.metrics.r2_score(truth.reshape(-1, 2), predicted.reshape(-1, 2))
    assert regression_figures(truth, predicted)["r2"] == pytest.approx(expected)
    truth[..., 1] = 7
    alone = sklearn.metrics.r2_score(truth[..., 0].ravel(), predicted[..., 0].ravel())
    assert regression_figures(truth, predicted)["r2"] == pytest.approx(alone / 2)


def test_errors_by_step() -> None:
    truth = np.zeros((2, 2, 1))
    predicted = np.array([[[1.0], [3.0]], [[-1.0], [5.0]]])
    errors = errors_by_step(truth, predicted)
    np.testing.assert_allclose(errors.mae, np.array([[1.0], [4.0]]))
    np.testing.assert_allclose(errors.rmse, np.array([[1.0], [np.sqrt(17)]]))
