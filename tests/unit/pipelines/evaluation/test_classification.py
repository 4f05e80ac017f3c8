"""A classifier's figures, against scikit-learn's and by hand."""

from dataclasses import astuple

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from pipelines.evaluation.classification import (
    class_figures,
    classification_figures,
    confusion_matrix,
    ranked_classes,
    roc_auc,
)
from tests.unit.pipelines.evaluation.outcomes import LABELS, probabilities

RANDOM = np.random.default_rng(1)


def figures(truth: list[int], answers: list[list[float]]) -> dict[str, float]:
    scores = np.array(answers)
    return classification_figures(np.array(truth), scores, scores.argmax(axis=1))


def test_against_scikit_learn() -> None:
    truth, answers = RANDOM.integers(0, 3, 40), probabilities(40).astype(np.float64)
    predicted = answers.argmax(axis=1)
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(truth, predicted),
        "f1_macro": sklearn.metrics.f1_score(truth, predicted, average="macro"),
        "log_loss": sklearn.metrics.log_loss(truth, answers / answers.sum(axis=1, keepdims=True), labels=[0, 1, 2]),
        "roc_auc": sklearn.metrics.roc_auc_score(
            truth, answers / answers.sum(axis=1, keepdims=True), multi_class="ovr"
        ),
    }
    found = classification_figures(truth, answers, predicted)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert found["loss"] == found["log_loss"]


def test_a_probability_of_zero_gives_a_finite_loss() -> None:
    assert figures([0, 1], [[1, 0, 0], [1, 0, 0]])["log_loss"] == pytest.approx(87.3 / 2, rel=1e-3)


def test_of_two_classes_the_second_is_ranked() -> None:
    # Of the two positive rows one is above both negative ones, the other above one of them: (2 + 1) / 4.
    found = figures([0, 0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.5, 0.5], [0.2, 0.8]])
    assert found["roc_auc"] == 0.75


def test_a_part_of_one_class_has_no_area_under_the_curve() -> None:
    found = figures([1, 1], [[0.1, 0.9], [0.8, 0.2]])
    assert "roc_auc" not in found
    assert found["accuracy"] == 0.5


def test_classes_that_a_part_lacks_are_left_out_of_the_area() -> None:
    truth, answers = np.array([0, 0, 1, 1]), probabilities(4).astype(np.float64)
    expected = np.mean([sklearn.metrics.roc_auc_score(truth == c, answers[:, c]) for c in (0, 1)])
    assert roc_auc(truth, answers) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("truth", "classes", "expected"), [([0, 1], 2, [1]), ([1, 1], 2, []), ([0, 2], 3, [0, 2]), ([2], 3, [])]
)
def test_which_classes_are_ranked(truth: list[int], classes: int, expected: list[int]) -> None:
    assert ranked_classes(np.array(truth), classes) == expected


def test_too_many_classes_are_not_ranked() -> None:
    truth: NDArray[np.int64] = np.arange(1001)
    assert roc_auc(truth, np.zeros((1001, 1001))) is None


def test_the_macro_average_is_over_classes_that_occur() -> None:
    # cat: F1 1; dog: never found; eel: predicted once, never true; a fourth class does not occur.
    found = figures([0, 1], [[0.9, 0.1, 0, 0], [0, 0.1, 0.9, 0]])
    assert found["f1_macro"] == pytest.approx(1 / 3)


def test_figures_by_class() -> None:
    truth, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    cat, dog, eel = (astuple(figures) for figures in class_figures(truth, predicted, LABELS))
    assert cat == ("cat", 1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3)
    assert dog == ("dog", 0.5, 1.0, pytest.approx(2 / 3), 1)
    assert eel == ("eel", 0.0, 0.0, 0.0, 0)


def test_the_confusion_matrix() -> None:
    truth, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    expected = [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(confusion_matrix(truth, predicted, 3), expected)
    assert confusion_matrix(np.array([0]), np.array([2]), 4).shape == (4, 4)
