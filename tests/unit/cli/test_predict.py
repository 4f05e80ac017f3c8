"""Answers as people and programs read them."""

import numpy as np

from services.cli.predict import read_answer
from services.prediction.client import Prediction


def test_a_quantity_is_a_number() -> None:
    answer = Prediction("m", "1", {"prediction": np.array([[1.5], [2.5]], np.float32)})
    assert read_answer(answer) == [{"prediction": 1.5}, {"prediction": 2.5}]


def test_a_forecast_is_its_steps() -> None:
    one = Prediction("m", "1", {"prediction": np.array([[[1], [2]], [[3], [4]]], np.float32)})
    assert read_answer(one) == [{"prediction": [1, 2]}, {"prediction": [3, 4]}]
    two = Prediction("m", "1", {"prediction": np.array([[[1, 5], [2, 6]]], np.float32)})
    assert read_answer(two) == [{"prediction": [[1, 5], [2, 6]]}]


def test_a_class_has_its_probabilities() -> None:
    outputs = {"class_index": np.array([1]), "probabilities": np.array([[0.25, 0.75]], np.float32)}
    assert read_answer(Prediction("m", "1", outputs, class_labels=("no", "yes"))) == [
        {"prediction": "yes", "probability": 0.75, "probabilities": {"no": 0.25, "yes": 0.75}}
    ]
