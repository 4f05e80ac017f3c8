import numpy as np
import pytest

from services.prediction.calls import Array
from services.prediction.comparison import disagrees


def outputs(**values: object) -> dict[str, Array]:
    return {name: np.asarray(value) for name, value in values.items()}


def test_classes_are_compared_and_probabilities_are_not() -> None:
    champion = outputs(probabilities=[[0.9, 0.1], [0.4, 0.6]], class_index=[0, 1])
    assert not disagrees(
        "classification", champion, outputs(probabilities=[[0.6, 0.4], [0.1, 0.9]], class_index=[0, 1])
    )
    assert disagrees("classification", champion, outputs(probabilities=[[1, 0], [1, 0]], class_index=[0, 0]))


def test_without_an_index_the_largest_score_is_the_class() -> None:
    champion = outputs(scores=[[0.9, 0.1], [0.4, 0.6]])
    assert not disagrees("classification", champion, outputs(scores=[[2.0, 1.0], [1.0, 2.0]]))
    assert disagrees("classification", champion, outputs(scores=[[1.0, 2.0], [1.0, 2.0]]))


@pytest.mark.parametrize(
    ("champion", "challenger", "expected"),
    [
        ([[100.0]], [[105.0]], False),
        ([[100.0]], [[94.0]], True),
        ([[-100.0]], [[-105.0]], False),
        ([[0.0]], [[0.0009]], False),
        ([[0.0]], [[0.0011]], True),
        ([[1.0], [2.0]], [[1.0], [3.0]], True),
        ([[np.nan]], [[np.nan]], False),
        ([[np.nan]], [[1.0]], True),
        ([[1.0]], [[1.0], [1.0]], True),
    ],
)
def test_numbers_may_differ_within_the_tolerance(
    champion: list[list[float]], challenger: list[list[float]], expected: bool
) -> None:
    assert disagrees("regression", outputs(prediction=champion), outputs(prediction=challenger)) == expected


def test_an_output_that_is_missing_disagrees() -> None:
    assert disagrees("regression", outputs(prediction=[[1.0]]), outputs(forecast=[[1.0]]))
