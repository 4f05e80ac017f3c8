"""What a run gets by class and by step."""

import numpy as np
import pytest

from pipelines.evaluation.details import class_metrics, step_metrics
from pipelines.evaluation.metrics import Evaluation
from tests.unit.pipelines.evaluation.outcomes import LABELS

CLASSES = Evaluation({"accuracy": 0.75}, np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
FORECAST = Evaluation({"r2": 0.0}, np.zeros((5, 3, 2)), np.arange(3.0)[None, :, None] * np.ones((5, 3, 2)))


def test_f1_of_every_class() -> None:
    expected = {"test_f1/cat": 1.0, "test_f1/dog": pytest.approx(2 / 3), "test_f1/eel": pytest.approx(2 / 3)}
    assert class_metrics(CLASSES, LABELS) == expected
    assert step_metrics(CLASSES) == []


def test_errors_of_every_step() -> None:
    assert step_metrics(FORECAST) == [{"test_mae_by_step": e, "test_rmse_by_step": e} for e in (0.0, 1.0, 2.0)]
    assert class_metrics(FORECAST, ()) == {}


def test_too_many_classes_are_not_listed() -> None:
    assert class_metrics(CLASSES, tuple(map(str, range(31)))) == {}
