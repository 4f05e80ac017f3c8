"""Held-out figures, against scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics

from pipelines.data.dataset import Rows
from pipelines.evaluation.metrics import Evaluation, confusion_matrix, evaluate
from tests.unit.pipelines.evaluation.outcomes import LABELS, dataset, probabilities

RANDOM = np.random.default_rng(1)


def test_classification() -> None:
    truth, answers = RANDOM.integers(0, 3, 40), probabilities(40)
    predicted = answers.argmax(axis=1)
    part = Rows(np.zeros((40, 2), np.float32), truth)
    evaluation = evaluate(dataset("classification"), part, {"probabilities": answers, "class_index": predicted})
    assert evaluation.metrics == {
        "accuracy": pytest.approx(sklearn.metrics.accuracy_score(truth, predicted)),
        "loss": pytest.approx(sklearn.metrics.log_loss(truth, answers, labels=[0, 1, 2]), rel=1e-6),
    }
    assert (evaluation.score.metric, evaluation.score.value) == ("accuracy", evaluation.metrics["accuracy"])
    np.testing.assert_array_equal(evaluation.truth, truth)
    np.testing.assert_array_equal(evaluation.predicted, predicted)


def test_a_probability_of_zero_gives_a_finite_loss() -> None:
    answers = np.array([[1, 0, 0], [1, 0, 0]], np.float32)
    part = Rows(np.zeros((2, 2), np.float32), np.array([0, 1]))
    outputs = {"probabilities": answers, "class_index": np.array([0, 0])}
    assert evaluate(dataset("classification"), part, outputs).metrics["loss"] == pytest.approx(87.3 / 2, rel=1e-3)


def test_regression() -> None:
    truth = (RANDOM.standard_normal(40) * 30 + 100).astype(np.float32)
    predicted = truth + RANDOM.standard_normal(40).astype(np.float32) * 5
    part = Rows(np.zeros((40, 2), np.float32), truth)
    evaluation = evaluate(dataset("regression"), part, {"prediction": predicted[:, None]})
    assert evaluation.metrics == {
        "mae": pytest.approx(sklearn.metrics.mean_absolute_error(truth, predicted)),
        "rmse": pytest.approx(sklearn.metrics.root_mean_squared_error(truth, predicted)),
        "r2": pytest.approx(sklearn.metrics.r2_score(truth, predicted)),
    }
    assert (evaluation.score.metric, evaluation.score.value) == ("r2", evaluation.metrics["r2"])


def test_a_target_that_never_varies_has_no_r2() -> None:
    part = Rows(np.zeros((3, 2), np.float32), np.full(3, 5, np.float32))
    outputs = {"prediction": np.array([[4], [5], [6]], np.float32)}
    assert evaluate(dataset("regression"), part, outputs).metrics["r2"] == 0


def test_the_confusion_matrix() -> None:
    truth, predicted = RANDOM.integers(0, 3, 60), RANDOM.integers(0, 3, 60)
    expected = sklearn.metrics.confusion_matrix(truth, predicted, labels=range(len(LABELS)))
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 3), expected)
    assert confusion_matrix(np.array([0]), np.array([2]), 4).shape == (4, 4)


def test_more_is_better_in_every_score() -> None:
    empty = np.zeros(1)
    assert Evaluation({"accuracy": 0.5, "loss": 9.0}, empty, empty).score.value == 0.5
    assert Evaluation({"mae": 9.0, "rmse": 9.0, "r2": 0.5}, empty, empty).score.value == 0.5
