import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.cli.errors import InputError
from services.cli.rows import length_warning, read_inputs, read_rows
from services.prediction.client import ModelMetadata, TensorMetadata


def taking(*row_shape: int, names: tuple[str, ...] = ()) -> ModelMetadata:
    features = TensorMetadata("features", "FP32", (-1, *row_shape))
    return ModelMetadata("m", "1", ("1",), inputs=(features,), outputs=(), feature_names=names)


NAMED = taking(2, names=("a", "b"))
NAMELESS = taking(2)
IMAGES = taking(1, 2, 2)
SERIES = taking(-1, 2)

Written = Callable[[str, str | bytes], str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def npy(array: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "description"),
    [
        ("in_order.csv", "a,b\n1,2\n3,4\n", NAMED),
        ("reordered.csv", "b,a\n2,1\n4,3\n", NAMED),
        ("with_more_columns.csv", 'kind,b,a,note\nyes,2,1,"x, y"\nno,4,3,\n', NAMED),
        ("from_excel.CSV", "\ufeffa,b\r\n1,2\r\n3,4\r\n", NAMED),
        ("for_a_model_without_names.csv", "x,y\n1,2\n3,4\n", NAMELESS),
        ("lists.json", "[[1, 2], [3, 4]]", NAMED),
        ("objects.json", '[{"b": 2, "a": 1, "more": null}, {"a": 3, "b": 4}]', NAMED),
        ("objects_with_texts.json", '[{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]', NAMED),
        ("floats.npy", npy([[1.0, 2.0], [3.0, 4.0]]), NAMED),
        ("integers.npy", npy([[1, 2], [3, 4]]), NAMED),
    ],
)
def test_rows_come_in_the_models_order(
    name: str, content: str | bytes, description: ModelMetadata, written: Written
) -> None:
    rows = read_rows(written(name, content), description)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "description", "shape"),
    [
        ([[1, 2, 3, 4]] * 3, IMAGES, (3, 1, 2, 2)),
        ([[[[1, 2], [3, 4]]]] * 3, IMAGES, (3, 1, 2, 2)),
        ([[1, 2, 3, 4, 5, 6]], SERIES, (1, 3, 2)),
        ([[[1, 2], [3, 4]]], SERIES, (1, 2, 2)),
        ([[1, 2, 3]], NAMED, (1, 3)),  # the service names the axis that is wrong
    ],
)
def test_flat_rows_take_the_models_shape(
    content: list[object], description: ModelMetadata, shape: tuple[int, ...], written: Written
) -> None:
    assert read_rows(written("rows.json", json.dumps(content)), description).shape == shape


def test_a_dash_reads_json_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[[1, 2]]")))
    assert read_rows("-", NAMED).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "rows.txt",
            "1 2",
            "expected a .csv, .json or .npy file, a .png or .jpg, or - for JSON on standard input, came '",
        ),
        ("rows.csv", "", "expected a header and at least one row, came an empty file"),
        ("rows.csv", "a,b\n", "expected a header and at least one row, came an empty file"),
        ("rows.csv", "a,c\n1,2\n", "expected a column 'b', came 'a', 'c'"),
        ("rows.csv", "a,b\n1,2\n3,many\n", "expected a number in column 'b', came 'many' in row 2"),
        ("rows.csv", "a,b\n1\n", "expected a number in column 'b', came None in row 1"),
        ("rows.csv", "a,b\n1,2\n3,nan\n", "expected finite numbers, came NaN or infinity in row 2"),
        ("rows.csv", "a,b\n1,1e39\n", "expected finite numbers, came NaN or infinity in row 1"),
        ("rows.csv", b"a,b\n\xff\xfe,2\n", "expected a CSV file in UTF-8, came "),
        ("rows.json", "[[1, 2]", "expected JSON, came "),
        ("rows.json", b"\xff\xfe\xff", "expected JSON, came "),
        ("rows.json", '{"a": 1, "b": 2}', "expected a list of rows, each a list of numbers or an object by feature"),
        ("rows.json", "[]", "expected a list of rows"),
        ("rows.json", "[[1, 2], [3]]", "expected lists of numbers of one length"),
        ("rows.json", '[[1, "many"]]', "expected lists of numbers of one length"),
        ("rows.json", f"[[1, {10**400}]]", "expected lists of numbers of one length"),
        ("rows.json", '[{"a": 1, "b": 2}, [3, 4]]', "expected lists of numbers of one length"),
        ("rows.json", '[{"a": 1, "b": 2}, 3]', "expected lists of numbers of one length"),
        ("rows.json", '[{"a": 1}]', "expected a column 'b', came 'a'"),
        ("rows.json", '[{"a": 1, "b": null}]', "expected a number in column 'b', came None in row 1"),
        ("rows.json", "[[1, null]]", "expected finite numbers, came NaN or infinity in row 1"),
        ("rows.json", "[[1, 1e39]]", "expected finite numbers, came NaN or infinity in row 1"),
        ("rows.json", "[1, 2, 3]", "expected rows shaped [2], came []"),
        ("rows.npy", b"1,2", "expected an .npy file of numbers, came "),
        ("rows.npy", b"", "expected an .npy file of numbers, came "),
        ("rows.npy", npy([["a", "b"]]), "expected an .npy file of numbers, came "),
        ("rows.npy", npy(7.0), "expected an array of rows, came a single number"),
        ("rows.npy", npy(np.ones((2, 3, 1))), "expected rows shaped [2], came [3, 1]"),
    ],
)
def test_a_wrong_file_is_named_with_what_was_expected(
    name: str, content: str | bytes, message: str, written: Written
) -> None:
    with pytest.raises(InputError) as caught:
        read_rows(written(name, content), NAMED)
    assert str(caught.value).startswith("ROWS: ")
    assert message in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected an existing file, came '.*none.csv'"):
        read_rows(str(tmp_path / "none.csv"), NAMED)


BIRDS = ModelMetadata(
    "birds",
    "1",
    ("1",),
    inputs=(TensorMetadata("weight", "FP32", (-1, 1)), TensorMetadata("island", "BYTES", (-1, 1))),
    outputs=(),
    feature_names=("weight", "island"),
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("columns.csv", "island,note,weight\n007,x,4000\n,y,\n"),
        ("objects.json", '[{"island": "007", "weight": 4000}, {"island": null, "weight": null}]'),
        ("lists.json", '[[4000, "007"], [null, ""]]'),
    ],
)
def test_a_model_of_columns_gets_values_as_they_are_written(name: str, content: str, written: Written) -> None:
    columns = read_inputs(written(name, content), BIRDS)
    assert isinstance(columns, dict)
    assert columns["island"] == ["007", ""]
    np.testing.assert_array_equal(columns["weight"], [4000, np.nan])


def test_a_model_of_plain_numbers_gets_rows(written: Written) -> None:
    rows = read_inputs(written("rows.csv", "a,b\n1,2\n"), NAMED)
    assert isinstance(rows, np.ndarray)
    assert rows.tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.npy", npy([[1.0]]), "expected a .csv or .json file, as the model takes columns by name"),
        ("rows.csv", "weight\n1\n", "expected a column 'island', came 'weight'"),
        ("rows.csv", "weight,island\nheavy,Dream\n", "expected a number in column 'weight', came 'heavy' in row 1"),
        ("rows.csv", "weight,island\n1,Dream\ninf,Dream\n", "expected finite numbers, came infinity in row 2"),
        ("rows.json", "[[1]]", "expected objects by feature name, or lists of 2 values, came something else"),
    ],
)
def test_wrong_columns_are_named(name: str, content: str | bytes, message: str, written: Written) -> None:
    with pytest.raises(InputError) as caught:
        read_inputs(written(name, content), BIRDS)
    assert str(caught.value).startswith(f"ROWS: {message}")


def test_a_picture_goes_as_it_is(written: Written) -> None:
    album = replace(IMAGES, encoded_images={"features": "any, made to fit L 2x2 (width x height)"})
    assert read_inputs(written("digit.PNG", b"a picture"), album) == [b"a picture"]


def test_a_model_of_rows_takes_no_pictures(written: Written) -> None:
    with pytest.raises(InputError, match="expected rows, as the model 'm' takes no pictures, came '"):
        read_inputs(written("digit.png", b"a picture"), NAMED)


def test_a_table_of_steps_is_one_window_of_a_series(written: Written) -> None:
    tides = taking(-1, 2, names=("tide", "wind"))
    rows = read_inputs(written("steps.csv", "hour,wind,tide\n1,7,1\n2,8,2\n3,9,3\n"), tides)
    assert isinstance(rows, np.ndarray)
    assert rows.tolist() == [[[1, 7], [2, 8], [3, 9]]]


def test_another_length_than_in_training_is_told() -> None:
    tides = replace(taking(-1, 2), trained_steps={"features": 24})
    assert length_warning(np.zeros((3, 24, 2), np.float32), tides) == ""
    told = "ROWS: 'm' was trained on 24 steps a row, came 5: it may be further off"
    assert length_warning(np.zeros((3, 5, 2), np.float32), tides) == told
    assert length_warning(np.zeros((3, 5, 2), np.float32), taking(-1, 2)) == ""


LENGTHS = TensorMetadata("lengths", "INT64", (-1,))
OF_ANY_LENGTH = replace(SERIES, inputs=(*SERIES.inputs, LENGTHS))


def test_series_of_different_lengths_are_filled_up(written: Written) -> None:
    read = read_inputs(written("rows.json", "[[[1, 2]], [[3, 4], [5, 6], [7, 8]]]"), OF_ANY_LENGTH)
    assert isinstance(read, dict)
    assert np.asarray(read["lengths"]).tolist() == [1, 3]
    assert np.asarray(read["features"]).tolist() == [[[1, 2], [0, 0], [0, 0]], [[3, 4], [5, 6], [7, 8]]]


def test_all_steps_of_an_array_count(written: Written) -> None:
    read = read_inputs(written("rows.npy", npy(np.ones((2, 3, 2)))), OF_ANY_LENGTH)
    assert isinstance(read, dict)
    assert np.asarray(read["lengths"]).tolist() == [3, 3]
    assert np.shape(read["features"]) == (2, 3, 2)


@pytest.mark.parametrize("row", ["[]", "[[1]]", "[1, 2]", '["a"]', "[[1, 2], [3]]", "[[1, 1e39]]", "3"])
def test_what_is_no_series_is_refused(row: str, written: Written) -> None:
    with pytest.raises(InputError) as caught:
        read_inputs(written("rows.json", f"[[[1, 2]], {row}]"), OF_ANY_LENGTH)
    expected = (
        "ROWS: expected a list of steps in row 2, each a list of 2 finite numbers, came something else among them"
    )
    assert str(caught.value) == expected
