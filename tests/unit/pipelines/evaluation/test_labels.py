"""Names in pictures and in MLflow."""

import pytest
from mlflow.utils.validation import _validate_metric_name

from pipelines.evaluation.labels import literal, metric_names


def test_names_in_pictures_are_short_and_no_formulas() -> None:
    assert literal("$a$") == r"\$a\$"
    assert literal("x" * 24) == "x" * 24
    assert literal("the first of many classes 17") == "the first of… classes 17"


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("cat", "sea lion", "3.5"), ["f1/cat", "f1/sea lion", "f1/3.5"]),
        (("a$", "b"), ["f1/0", "f1/1"]),
        (("..", "b"), ["f1/0", "f1/1"]),
        (("a/b", "c"), ["f1/0", "f1/1"]),
        (("", "c"), ["f1/0", "f1/1"]),
        (("1", "1"), ["f1/0", "f1/1"]),
        (("æble", "x" * 101), ["f1/0", "f1/1"]),
    ],
)
def test_mlflow_takes_every_name(labels: tuple[str, ...], names: list[str]) -> None:
    assert metric_names("f1", labels) == names
    for name in names:
        _validate_metric_name(name)  # type: ignore[no-untyped-call] # MLflow leaves it unannotated
