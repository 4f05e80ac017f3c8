"""Held-out figures of what is served: which there are, and that each is a number."""

import math

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from pipelines.data.dataset import Rows
from pipelines.evaluation.metrics import Evaluation, evaluate
from tests.unit.pipelines.evaluation.outcomes import dataset, probabilities

RANDOM = np.random.default_rng(1)


def classified(truth: NDArray[np.int64], answers: NDArray[np.float32]) -> Evaluation:
    part = Rows(np.zeros((len(truth), 2), np.float32), truth)
    outputs = {"probabilities": answers, "class_index": answers.argmax(axis=1)}
    return evaluate(dataset("classification"), part, outputs)


def forecast(truth: NDArray[np.float32], predicted: NDArray[np.float32]) -> Evaluation:
    part = Rows(np.zeros((len(truth), 2), np.float32), truth)
    return evaluate(dataset("regression"), part, {"prediction": predicted})


def test_classification() -> None:
    truth, answers = RANDOM.integers(0, 3, 40), probabilities(40)
    evaluation = classified(truth, answers)
    assert evaluation.metrics.keys() == {"accuracy", "loss", "log_loss", "f1_macro", "roc_auc", "ece"}
    assert (evaluation.score.metric, evaluation.score.value) == ("accuracy", evaluation.metrics["accuracy"])
    np.testing.assert_array_equal(evaluation.truth, truth)
    np.testing.assert_array_equal(evaluation.predicted, answers.argmax(axis=1))
    np.testing.assert_array_equal(evaluation.probabilities, answers)
    assert not evaluation.is_forecast


def test_regression() -> None:
    truth = (RANDOM.standard_normal(40) * 30 + 100).astype(np.float32)
    predicted = truth + RANDOM.standard_normal(40).astype(np.float32) * 5
    evaluation = forecast(truth, predicted[:, None])
    assert evaluation.metrics == {
        "mae": pytest.approx(sklearn.metrics.mean_absolute_error(truth, predicted)),
        "rmse": pytest.approx(sklearn.metrics.root_mean_squared_error(truth, predicted)),
        "r2": pytest.approx(sklearn.metrics.r2_score(truth, predicted)),
        "residual_mean": pytest.approx(float((truth - predicted).mean()), abs=1e-5),
    }
    assert (evaluation.score.metric, evaluation.score.value) == ("r2", evaluation.metrics["r2"])
    assert not evaluation.is_forecast


def test_a_forecast_keeps_its_steps_and_variables() -> None:
    truth = RANDOM.standard_normal((30, 4, 2)).astype(np.float32)
    evaluation = forecast(truth, truth + 0.5)
    assert evaluation.is_forecast
    assert evaluation.truth.shape == evaluation.predicted.shape == (30, 4, 2)
    assert evaluation.metrics["mae"] == pytest.approx(0.5)
    assert evaluation.metrics["residual_mean"] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "evaluation",
    [
        classified(np.zeros(5, np.int64), probabilities(5)),
        classified(np.array([2]), probabilities(1)),
        classified(np.array([0, 1]), np.array([[1, 0, 0], [1, 0, 0]], np.float32)),
        forecast(np.full(4, 5, np.float32), np.zeros((4, 1), np.float32)),
        forecast(np.ones(1, np.float32), np.zeros((1, 1), np.float32)),
        forecast(np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32)),
    ],
    ids=["one class", "one row", "sure and wrong", "constant", "one quantity", "one step"],
)
def test_whatever_the_part_every_figure_is_a_finite_number(evaluation: Evaluation) -> None:
    assert evaluation.metrics
    assert all(map(math.isfinite, evaluation.metrics.values()))


def test_more_is_better_in_every_score() -> None:
    empty = np.zeros(1)
    assert Evaluation({"accuracy": 0.5, "loss": 9.0}, empty, empty).score.value == 0.5
    assert Evaluation({"mae": 9.0, "rmse": 9.0, "r2": 0.5}, empty, empty).score.value == 0.5
