"""Everything a user may have, against everything a model may take."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from services.prediction.client import ModelMetadata
from services.prediction.client.errors import InvalidDataError
from services.prediction.client.inputs import Data, as_inputs
from tests.unit.prediction.client.models import BIRDS, IMAGES, NAMED, NAMELESS, PAIR, TEXTS, model, tensor

SHAPE = "inputs[features].shape: expected [-1, 3], where -1 is any length from 1,"
ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


class Columns:
    """One that is no pandas, and still has named columns."""

    @property
    def columns(self) -> list[str]:
        return ["c", "b", "a"]

    def __getitem__(self, name: str) -> list[float]:
        return {"a": [1.0, 4.0], "b": [2.0, 5.0], "c": [3.0, 6.0]}[name]


@pytest.mark.parametrize(
    "data",
    [
        np.array(ROWS),
        np.array(ROWS, np.float32),
        ROWS,
        [tuple(row) for row in ROWS],
        [np.array(row) for row in ROWS],
        {"features": ROWS},
        {"features": np.array(ROWS)},
        {"c": [3, 6], "a": [1, 4], "b": [2, 5]},
        {"c": np.array([3, 6]), "a": pd.Series([1, 4]), "b": (2.0, 5.0)},
        [{"b": 2, "a": 1, "c": 3}, {"a": 4, "c": 6, "b": 5}],
        pd.DataFrame(ROWS, columns=["a", "b", "c"]),
        pd.DataFrame(ROWS, columns=["a", "b", "c"], index=[7, 3])[["c", "a", "b"]],
        pd.DataFrame({"b": [2, 5], "c": [3.0, 6.0], "a": np.array([1, 4], np.int8)}),
        pd.DataFrame({"b": [2, 5], "c": [3, 6], "a": [1, 4]}, dtype="Int64"),
        pd.DataFrame(ROWS, columns=["a", "b", "c"]).to_numpy(),
        Columns(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_all_of_them_are_the_same_rows(data: Data) -> None:
    (features,) = as_inputs(data, NAMED).values()
    assert features.dtype == np.float32
    assert features.tolist() == ROWS


def test_several_inputs_come_in_the_models_order() -> None:
    inputs = as_inputs({"right": [1, 2], "left": np.ones((2, 2))}, PAIR)
    assert list(inputs) == ["left", "right"]
    assert [array.dtype.name for array in inputs.values()] == ["float32", "int64"]


def test_texts_are_one_input() -> None:
    assert as_inputs(["good", "bäd"], TEXTS)["text"].tolist() == [b"good", "bäd".encode()]
    assert as_inputs(pd.Series(["good"]), TEXTS)["text"].tolist() == [b"good"]
    of_rows = model(tensor("text", "BYTES", 1))
    assert as_inputs(["good", "bad"], of_rows)["text"].tolist() == [[b"good"], [b"bad"]]
    assert as_inputs([["good"], ["bad"]], of_rows)["text"].tolist() == [[b"good"], [b"bad"]]


def test_columns_of_texts_become_rows() -> None:
    words = model(tensor("words", "BYTES", 2), feature_names=("first", "last"))
    frame = pd.DataFrame({"last": ["x", "y"], "first": ["a", "b"]})
    assert as_inputs(frame, words)["words"].tolist() == [[b"a", b"x"], [b"b", b"y"]]


@pytest.mark.parametrize(
    "data",
    [
        {"weight": [4000, None], "island": ["Dream", None]},
        {"island": ["Dream", float("nan")], "weight": np.array([4000, np.nan])},
        {"weight": [[4000.0], [np.nan]], "island": [["Dream"], [""]]},
        [{"weight": 4000, "island": "Dream"}, {"island": None, "weight": None}],
        pd.DataFrame({"island": ["Dream", None], "weight": [4000, None]}),
    ],
    ids=lambda data: type(data).__name__,
)
def test_of_a_table_each_column_is_an_input_and_values_may_be_missing(data: Data) -> None:
    inputs = as_inputs(data, BIRDS)
    assert list(inputs) == ["weight", "island"]
    np.testing.assert_array_equal(inputs["weight"], np.array([[4000], [np.nan]], np.float32))
    assert inputs["island"].tolist() == [[b"Dream"], [b""]]


def test_an_input_wins_over_a_feature_of_the_same_name() -> None:
    twins = model(tensor("a", "FP32", 1), feature_names=("a",))
    assert as_inputs({"a": [[1.0], [2.0]]}, twins)["a"].shape == (2, 1)


@pytest.mark.parametrize(
    ("data", "described", "message"),
    [
        (
            np.ones((2, 2)),
            NAMED,
            f"{SHAPE} came [2, 2]",
        ),
        (np.ones(3), NAMED, f"{SHAPE} came [3]"),
        (
            np.ones((0, 3)),
            NAMED,
            f"{SHAPE} came [0, 3]",
        ),
        (1.0, NAMED, f"{SHAPE} came []"),
        ([], NAMED, f"{SHAPE} came [0]"),
        (
            np.full((1, 1, 2, 2), 256),
            IMAGES,
            "inputs[image]: expected values that UINT8 can hold as they are, came 256",
        ),
        ([["a", "b", "c"]], NAMED, "inputs[features]: expected FP32 values, came values of dtype <U1"),
        (np.ones((1, 2)), PAIR, "inputs: expected a dict of arrays by input name, 'left', 'right', came one ndarray"),
        ({"left": [[1, 2]]}, PAIR, "inputs: expected the inputs 'left', 'right', came without 'right'"),
        (
            {"left": [[1, 2]], "right": [1], "up": [1]},
            PAIR,
            "inputs: expected the inputs 'left', 'right', came with 'up' besides",
        ),
        (
            {"left": [[1, 2]], "right": [1, 2]},
            PAIR,
            "inputs: expected the same number of rows in every input, came {'left': 1, 'right': 2}",
        ),
        ({"x": ROWS}, NAMELESS, "inputs: expected the inputs 'features', came without 'features' and with 'x' besides"),
        (
            pd.DataFrame(ROWS, columns=["a", "b", "d"]),
            NAMED,
            "columns: expected the columns 'a', 'b', 'c', came without 'c' and with 'd' besides",
        ),
        (
            pd.DataFrame(ROWS, columns=["a", "b", "b"]),
            NAMED,
            "columns: expected each name once, came 'b' more than once",
        ),
        (
            pd.DataFrame({"a": [1.0], "b": ["x"], "c": [1.0]}),
            NAMED,
            "inputs[features], column 'b': expected FP32 values, came values of dtype object",
        ),
        (
            pd.DataFrame(ROWS),
            NAMELESS,
            "inputs: expected arrays, as model 'm' has features without names, came columns by name",
        ),
        (
            pd.DataFrame(ROWS),
            PAIR,
            "inputs: expected arrays, as model 'm' has several inputs, came columns by name",
        ),
        (
            {"weight": [1]},
            BIRDS,
            "columns: expected the columns 'weight', 'island', came without 'island'",
        ),
        (
            {"weight": ["heavy"], "island": ["Dream"]},
            BIRDS,
            "inputs[weight]: expected FP32 values, came values of dtype <U5",
        ),
        (
            {"weight": [1], "island": [3]},
            BIRDS,
            "inputs[island]: expected str or bytes, came int as element 0",
        ),
        (
            {"weight": [1, 2], "island": ["Dream"]},
            BIRDS,
            "inputs: expected the same number of rows in every input, came {'weight': 2, 'island': 1}",
        ),
        (
            {"weight": [[1, 2]], "island": ["Dream"]},
            BIRDS,
            "inputs[weight].shape: expected [-1, 1], where -1 is any length from 1, came [1, 2]",
        ),
        ({"a": [1], "b": [1]}, NAMED, "columns: expected the columns 'a', 'b', 'c', came without 'c'"),
        (
            {"a": [1], "b": [1], "c": [1, 2]},
            NAMED,
            "columns: expected one value a row, and as many in every column, came shapes {'a': (1,), 'b': (1,), 'c",
        ),
        (
            {"a": 1, "b": 1, "c": 1},
            NAMED,
            "columns: expected one value a row, and as many in every column, came shapes {'a': (), 'b': (), 'c': ()}",
        ),
        (
            [{"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}],
            NAMED,
            "row 1: expected the columns 'a', 'b', 'c', came without 'b'",
        ),
    ],
)
def test_what_does_not_fit_is_named(data: Data, described: ModelMetadata, message: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        as_inputs(data, described)
    assert str(caught.value).startswith(message)


ALBUM = replace(model(tensor("pixels", "FP32", 1, 2, 2)), encoded_images={"pixels": "any, made to fit L 2x2"})


@pytest.mark.parametrize("data", [[b"a", b"b"], (b"a", b"b"), {"pixels": [b"a", b"b"]}])
def test_encoded_images_are_a_row_each(data: Data) -> None:
    assert as_inputs(data, ALBUM)["pixels"].tolist() == [b"a", b"b"]


def test_pixels_go_as_they_are_to_a_model_of_images() -> None:
    assert as_inputs(np.ones((3, 1, 2, 2)), ALBUM)["pixels"].dtype == np.float32


def test_a_model_that_takes_no_images_takes_no_bytes() -> None:
    with pytest.raises(InvalidDataError, match="inputs\\[features\\]: expected FP32 values"):
        as_inputs([b"a", b"b"], NAMED)


SERIES = model(tensor("features", "FP32", -1, 2), feature_names=("tide", "wind"))


def test_a_frame_of_steps_is_one_window() -> None:
    frame = pd.DataFrame({"wind": [7, 8, 9], "tide": [1, 2, 3]})
    assert as_inputs(frame, SERIES)["features"].tolist() == [[[1, 7], [2, 8], [3, 9]]]
    assert as_inputs(np.ones((5, 3, 2)), SERIES)["features"].shape == (5, 3, 2)
