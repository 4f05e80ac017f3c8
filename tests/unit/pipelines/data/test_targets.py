"""Classes and quantities: how they are encoded, and what is neither."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data.table import Table
from pipelines.data.targets import encode_target
from pipelines.errors import DataError
from pipelines.spec.objective import Task


def table(target: NDArray[Any], class_names: tuple[str, ...] = ()) -> Table:
    return Table(np.zeros((len(target), 1), np.float32), target, ("x",), "kind", class_names, "a test")


@pytest.mark.parametrize(
    ("target", "labels", "values"),
    [
        (np.array(["no", "yes", "no"] * 3), ("no", "yes"), [0, 1, 0]),
        (np.array(["b", "a", "c"] * 3, object), ("a", "b", "c"), [1, 0, 2]),
        (np.array([7, 3, 7] * 3), ("3", "7"), [1, 0, 1]),
        (np.array([1.0, 0.0, 2.0] * 3), ("0", "1", "2"), [1, 0, 2]),
        (np.array([10, 9, 10] * 3), ("9", "10"), [1, 0, 1]),
        (np.array([True, False, True] * 3), ("False", "True"), [1, 0, 1]),
    ],
)
def test_classes_become_indices_into_their_labels(
    target: NDArray[Any], labels: tuple[str, ...], values: list[int]
) -> None:
    targets = encode_target(table(target), "classification")
    assert targets.labels == labels
    assert targets.values.dtype == np.int64
    assert targets.values.tolist() == values * 3


def test_names_from_the_source_label_the_classes() -> None:
    assert encode_target(table(np.array([0, 1] * 3), ("cat", "dog")), "classification").labels == ("cat", "dog")


@pytest.mark.parametrize("dtype", [np.int32, np.float64, np.uint8])
def test_quantities_are_float32(dtype: type[np.generic]) -> None:
    targets = encode_target(table(np.array([1, 2, 3], dtype)), "regression")
    assert targets.labels == ()
    assert targets.values.dtype == np.float32
    assert targets.values.tolist() == [1, 2, 3]


ROWS = "at least 3 rows of each class, one for each part of the split"
WHOLE = "classes in column 'kind': texts or whole numbers"


@pytest.mark.parametrize(
    ("target", "task", "message"),
    [
        (["a", "a", "a", "b"], "classification", f"expected {ROWS}, came class 'b' with 1 row"),
        (["a", "a", "b", "b", "b"], "classification", f"expected {ROWS}, came class 'a' with 2 rows"),
        (["a"] * 9, "classification", "expected at least two classes, came only a in column 'kind'"),
        (
            [1.0, 2.5, 1.0],
            "classification",
            f"expected {WHOLE}, came the quantity 2.5 in row 2 (loss.name mse fits quantities)",
        ),
        (
            [1.0, 1.0, np.inf],
            "classification",
            f"expected {WHOLE}, came the quantity inf in row 3 (loss.name mse fits quantities)",
        ),
        (
            [1.0, 1e300, 1.0],
            "classification",
            f"expected {WHOLE}, came the quantity 1e+300 in row 2 (loss.name mse fits quantities)",
        ),
        (
            ["a", "b"],
            "regression",
            "expected numbers in column 'kind', came 'a' (loss.name cross_entropy fits classes)",
        ),
        (
            [True, False],
            "regression",
            "expected numbers in column 'kind', came 'True' (loss.name cross_entropy fits classes)",
        ),
        ([1.0, np.inf], "regression", "expected finite numbers in column 'kind', came an infinite one"),
        ([1.0, 1e39], "regression", "expected finite numbers in column 'kind', came an infinite one"),
    ],
)
def test_what_is_neither_is_refused(target: list[Any], task: Task, message: str) -> None:
    with pytest.raises(DataError) as caught:
        encode_target(table(np.array(target)), task)
    assert str(caught.value) == f"data.target: {message}"
