"""Columns of names and columns with gaps: how they are read, and what they may not hold."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.columns import read_columns
from pipelines.data.loading import load_dataset
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.spec.data import CsvSource
from pipelines.spec_file import build_spec
from tests.unit.pipelines.data.frames import birds, birds_spec


def read(frame: pd.DataFrame, **options: Any) -> Table:  # noqa: ANN401 - fields of any type
    return read_columns(CsvSource(source="csv", path="rows.csv", **options), frame)


def refusal(frame: pd.DataFrame, **options: Any) -> str:  # noqa: ANN401 - as above
    with pytest.raises(DataError) as caught:
        read(frame, **options)
    return str(caught.value)


def test_columns_come_in_the_tables_order_as_a_client_would_send_them() -> None:
    table = read(birds(12), target="kind", categories=("island", "ring", "sex"), missing="impute")
    assert list(table.columns) == list(table.feature_names) == ["weight", "island", "ring", "sex"]
    assert [values.shape for values in table.columns.values()] == [(12, 1)] * 4
    assert [values.dtype for values in table.columns.values()] == [np.float32, object, object, object]
    assert np.isnan(table.columns["weight"][[0, 9], 0]).all()
    assert table.columns["ring"][:, 0].tolist() == [str(ring) for ring in birds(12)["ring"]]
    assert table.columns["sex"][0, 0] == ""
    assert table.features.shape == (12, 0)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (["a", None, "b", np.nan], ["a", "", "b", ""]),
        ([True, False, True, True], ["True", "False", "True", "True"]),
        ([7, 7, 8, 9], ["7", "7", "8", "9"]),
        ([7.0, np.nan, 8.0, 9.0], ["7", "", "8", "9"]),
        (pd.array([7, None, 8, 9], dtype="Int64"), ["7", "", "8", "9"]),
        (pd.Categorical(["a", "b", "a", None]), ["a", "b", "a", ""]),
    ],
    ids=str,
)
def test_each_value_has_one_text(values: Any, texts: list[str]) -> None:  # noqa: ANN401 - of any kind
    frame = pd.DataFrame({"code": values, "target": range(4)})
    assert read(frame, categories=("code",), missing="impute").columns["code"][:, 0].tolist() == texts


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "code",
            [1.5, 2.0, 3.0],
            "data.categories: expected texts or whole numbers in column 'code', came 1.5 in row 1",
        ),
        (
            "code",
            pd.date_range("2024-01-01", periods=3),
            "data.categories: expected texts or whole numbers in column 'code', came Timestamp('2024-01-01 00:00:00')",
        ),
        (
            "code",
            ["a", "b\0", "c"],
            "data.categories: expected texts or whole numbers in column 'code', came 'b\\x00' in row 2",
        ),
        (
            "code",
            ["a", "", None],
            "data.path: expected a value in every row of column 'code', or data.missing: impute, "
            "came a missing value (NaN) in row 2 and in 1",
        ),
        (
            "n",
            [1.0, np.nan, 2.0],
            "data.path: expected a value in every row of column 'n', or data.missing: impute, "
            "came a missing value (NaN) in row 2",
        ),
        (
            "n",
            [1.0, np.inf, 2.0],
            "data.features: expected finite numbers in column 'n', came inf in row 2",
        ),
        (
            "target",
            [1.0, np.nan, 2.0],
            "data.path: expected a value in every row of column 'target', came a missing value (NaN) in row 2",
        ),
    ],
)
def test_what_a_column_may_not_hold(column: str, values: Any, message: str) -> None:  # noqa: ANN401 - of any kind
    frame = pd.DataFrame({"code": ["a", "b", "c"], "n": [1.0, 2.0, 3.0], "target": [0, 1, 0]}).assign(
        **{column: values}
    )
    assert refusal(frame, categories=("code",)).startswith(message)


def test_gaps_that_may_be_filled_hide_no_wrong_value() -> None:
    frame = pd.DataFrame({"n": ["1", None, "two"], "target": [0, 1, 0]})
    expected = (
        "data.features: expected finite numbers in column 'n', or its name in data.categories, came 'two' in row 3"
    )
    assert refusal(frame, missing="impute") == expected


def test_a_category_is_a_column() -> None:
    frame = pd.DataFrame({"n": [1.0], "target": [0]})
    assert refusal(frame, categories=("colour",)) == (
        "data.categories: expected columns among 'n', 'target', came 'colour'"
    )


def load_refusal(frame: pd.DataFrame, folder: Path, **options: object) -> str:
    frame.to_csv(folder / "rows.csv", index=False)
    with pytest.raises(DataError) as caught:
        load_dataset(build_spec({"data": birds_spec(folder / "rows.csv", **options)}))
    return str(caught.value)


def test_a_column_is_not_called_what_an_output_is(tmp_path: Path) -> None:
    message = load_refusal(birds().rename(columns={"weight": "class_index"}), tmp_path)
    assert message == (
        "data.features: expected columns with other names than outputs, probabilities, class_index, prediction, "
        "came 'class_index'"
    )


def test_what_no_training_row_has_cannot_be_imputed(tmp_path: Path) -> None:
    message = load_refusal(birds().assign(weight=np.nan), tmp_path)
    assert message == "data.features: expected a value of column 'weight' among the training rows, came none"


def test_a_column_of_keys_is_no_category(tmp_path: Path) -> None:
    frame = birds(2000).assign(island=[f"island {row}" for row in range(2000)])
    assert load_refusal(frame, tmp_path) == (
        "data.categories: expected at most 1000 different values in column 'island', came 1400 among the training rows"
    )
