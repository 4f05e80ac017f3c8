"""Each source as it is read, and as it is refused."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from numpy.typing import NDArray

from pipelines.data.loading import load_dataset
from pipelines.data.sources import read_table
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import build_spec

FEATURES = np.arange(24, dtype=np.float64).reshape(12, 2)
CLASSES = np.arange(12) % 2


def spec_of(data: dict[str, Any], loss: str = "cross_entropy") -> TrainingSpec:
    return build_spec({"data": data, "loss": {"name": loss}})


def table_of(data: dict[str, Any], loss: str = "cross_entropy", seed: int = 0) -> Table:
    spec = spec_of(data, loss)
    return read_table(spec.data, spec.task, seed)


def refusal(data: dict[str, Any], loss: str = "cross_entropy") -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(spec_of(data, loss))
    return str(caught.value)


def frame(rows: int = 12) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(rows) / 4, "b": range(rows), "target": list("xy") * (rows // 2)})


def csv(path: Path, text: str | bytes) -> dict[str, Any]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return {"source": "csv", "path": str(path)}


def npz(path: Path, **arrays: NDArray[Any]) -> dict[str, Any]:
    np.savez(path, allow_pickle=True, **arrays)
    return {"source": "npz", "path": str(path)}


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
def test_the_bundled_sets(name: str) -> None:
    loss = "mse" if name == "diabetes" else "cross_entropy"
    table = table_of({"source": "sklearn", "dataset": name}, loss)
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    np.testing.assert_array_equal(table.features, bunch.data.astype(np.float32))
    np.testing.assert_array_equal(table.target, bunch.target)
    assert len(table.feature_names) == table.features.shape[1]
    assert table.origin == f"sklearn:{name}"


def test_a_bundled_set_names_its_classes() -> None:
    assert table_of({"source": "sklearn", "dataset": "iris"}).class_names == ("setosa", "versicolor", "virginica")


def test_synthetic_rows_follow_the_seed() -> None:
    data = {"source": "synthetic", "rows": 500, "features": 4, "classes": 3}
    first, again, other = (table_of(data, seed=seed) for seed in (1, 1, 2))
    assert first.features.shape == (500, 4)
    assert set(first.target) == {0, 1, 2}
    np.testing.assert_array_equal(first.features, again.features)
    np.testing.assert_array_equal(first.target, again.target)
    assert not np.array_equal(first.features, other.features)


def test_a_synthetic_quantity_is_linear_in_the_features() -> None:
    table = table_of({"source": "synthetic", "rows": 50, "features": 3}, "mse")
    _, residuals, rank, _ = np.linalg.lstsq(table.features, table.target)
    assert rank == 3
    assert residuals[0] < 1e-8


@pytest.mark.parametrize(
    ("source", "write"),
    [
        ("csv", lambda path: frame().to_csv(path, index=False)),
        ("parquet", lambda path: frame().to_parquet(path)),
    ],
)
def test_a_table_by_column_names(source: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "rows")
    data = {"source": source, "path": str(tmp_path / "rows")}
    table = table_of(data)
    np.testing.assert_array_equal(table.features, frame()[["a", "b"]].to_numpy(np.float32))
    assert list(table.target) == list("xy") * 6
    assert (table.feature_names, table.target_name) == (("a", "b"), "target")
    chosen = table_of(data | {"features": ["b"], "target": "a"}, "mse")
    np.testing.assert_array_equal(chosen.features[:, 0], frame()["b"])
    np.testing.assert_array_equal(chosen.target, frame()["a"])


def test_an_archive_by_array_names(tmp_path: Path) -> None:
    images = np.arange(96, dtype=np.uint8).reshape(12, 2, 4)
    data = npz(tmp_path / "rows.npz", images=images, kind=CLASSES)
    table = table_of(data | {"features": "images", "target": "kind"})
    np.testing.assert_array_equal(table.features, images)
    assert table.features.dtype == np.float32
    assert (table.feature_names, table.target_name) == ((), "kind")


@pytest.mark.parametrize("source", ["csv", "parquet", "npz"])
def test_a_missing_file(source: str, tmp_path: Path) -> None:
    path = tmp_path / "gone"
    message = f"data.path: expected an existing file or folder, came '{path}', which is neither"
    assert refusal({"source": source, "path": str(path)}) == message


GOOD_ROWS = "1,2,x\n3,4,y\n" * 5


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "data.path: expected a readable csv file, came No columns to parse from file"),
        (
            "a,b,target\n" + "9,1,2,x\n" * 5,
            {},
            "data.path: expected a readable csv file, came rows with more values than the header has names",
        ),
        ("a,target\n", {}, "data.path: expected at least one row and one feature column, came 0 rows, 1 features"),
        ("target\nx\n", {}, "data.path: expected at least one row and one feature column, came 1 rows, 0 features"),
        (
            "a,b,target\n" + GOOD_ROWS,
            {"target": "price"},
            "data.target: expected one of the columns 'a', 'b', 'target', came 'price'",
        ),
        (
            "a,b,target\n" + GOOD_ROWS,
            {"features": ["a", "c"]},
            "data.features: expected columns among 'a', 'b', 'target', came 'c'",
        ),
        (
            "a,b,target\n" + GOOD_ROWS + "1,,x\n,,y\n",
            {"features": ["b"]},
            "data.path: expected a value in every row of column 'b', or data.missing: impute, "
            "came a missing value (NaN) in row 11 and in 1 more",
        ),
        (
            "a,b,target\n" + GOOD_ROWS + "1,2,\n",
            {},
            "data.path: expected a value in every row of column 'target', came a missing value (NaN) in row 11",
        ),
        (
            "a,b,target\n1,2,x\n1,two,x\n" + GOOD_ROWS,
            {},
            "data.features: expected finite numbers in column 'b', or its name in data.categories, came 'two' in row 2",
        ),
        (
            "a,b,target\n" + GOOD_ROWS + "inf,2,x\n",
            {},
            "data.features: expected finite numbers in column 'a', came inf in row 11",
        ),
        (
            "a,b,target\n" + GOOD_ROWS + "1e39,2,x\n",
            {},
            "data.features: expected finite numbers in column 'a', came 1e+39 in row 11",
        ),
    ],
)
def test_a_table_that_cannot_train(text: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert refusal(csv(tmp_path / "rows.csv", text) | options) == message


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x81", b"a,b\n1,2\n1,2,3,4\n"])
def test_an_unreadable_csv(content: bytes, tmp_path: Path) -> None:
    data = csv(tmp_path / "rows.csv", content)
    assert refusal(data).startswith("data.path: expected a readable csv file, came ")


def test_an_unreadable_parquet(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"not parquet at all")
    message = refusal({"source": "parquet", "path": str(tmp_path / "rows.parquet")})
    assert message.startswith("data.path: expected a readable parquet file, came ")


@pytest.mark.parametrize("column", ["a", "target"])
def test_lists_are_no_values(column: str, tmp_path: Path) -> None:
    frame().assign(**{column: pd.Series([[1, 2]] * 12)}).to_parquet(tmp_path / "rows.parquet")
    message = refusal({"source": "parquet", "path": str(tmp_path / "rows.parquet")})
    assert message == f"data.path: expected single values in column {column!r}, came array([1, 2]) in row 1"


def test_times_are_no_numbers(tmp_path: Path) -> None:
    frame().assign(day=pd.date_range("2020-01-01", periods=12, unit="us")).to_parquet(tmp_path / "rows.parquet")
    message = refusal({"source": "parquet", "path": str(tmp_path / "rows.parquet")})
    assert message == "data.features: expected finite numbers in column 'day', came times (datetime64[us])"


def with_wrong_row(value: float) -> NDArray[np.float64]:
    features = FEATURES.copy()
    features[4, 1] = value
    return features


SHAPES = "data.path: expected features shaped (rows, ...) and a target shaped (rows,), came"
NOT_FINITE = "data.path: expected finite numbers in the array 'features', came NaN or infinity in row 5"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"target": CLASSES}, "data.features: expected one of the arrays 'target', came 'features'"),
        ({"features": FEATURES}, "data.target: expected one of the arrays 'features', came 'target'"),
        ({"features": FEATURES[:5], "target": CLASSES}, f"{SHAPES} [5, 2] and [12]"),
        ({"features": FEATURES[:, 0], "target": CLASSES}, f"{SHAPES} [12] and [12]"),
        ({"features": FEATURES, "target": CLASSES[:, None]}, f"{SHAPES} [12, 2] and [12, 1]"),
        ({"features": FEATURES[:0], "target": CLASSES[:0]}, f"{SHAPES} [0, 2] and [0]"),
        ({"features": with_wrong_row(np.nan), "target": CLASSES}, NOT_FINITE),
        ({"features": with_wrong_row(-np.inf), "target": CLASSES}, NOT_FINITE),
        ({"features": with_wrong_row(1e39), "target": CLASSES}, NOT_FINITE),
        (
            {"features": FEATURES, "target": np.where(CLASSES, np.nan, 1.0)},
            "data.path: expected finite numbers in the array 'target', came NaN or infinity in row 2 and in 5 more",
        ),
        (
            {"features": FEATURES.astype(str), "target": CLASSES},
            "data.features: expected numbers in the array 'features', came <U32",
        ),
        (
            {"features": FEATURES.astype(object), "target": CLASSES},
            "data.path: expected an npz archive of plain arrays, came Object arrays cannot be loaded "
            "when allow_pickle=False",
        ),
    ],
)
def test_an_archive_that_cannot_train(arrays: dict[str, NDArray[Any]], message: str, tmp_path: Path) -> None:
    assert refusal(npz(tmp_path / "rows.npz", **arrays)) == message


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk"])
def test_a_file_that_is_no_archive(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rows.npz").write_bytes(content)
    message = refusal({"source": "npz", "path": str(tmp_path / "rows.npz")})
    assert message.startswith("data.path: expected an npz archive of plain arrays, came ")


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", FEATURES)
    message = refusal({"source": "npz", "path": str(tmp_path / "rows.npy")})
    assert message.endswith("expected an npz archive of plain arrays, came a single array without a name")


def test_many_names_are_listed_in_part(tmp_path: Path) -> None:
    header = ",".join(f"c{column}" for column in range(15))
    message = refusal(csv(tmp_path / "rows.csv", f"{header}\n{'1,' * 14}1\n"))
    assert message.endswith("'c11' and 3 more, came 'target'")


def upload(path: Path, home: Path) -> str:
    """Put a file where uploads lie; return its address."""
    address = hashlib.sha256(path.read_bytes()).hexdigest()
    (home / "datasets").mkdir(exist_ok=True)
    path.rename(home / "datasets" / address)
    return f"sha256:{address}"


@pytest.mark.parametrize("source", ["csv", "parquet", "npz"])
def test_uploaded_content_is_read_by_its_address(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    file = tmp_path / "some file"
    match source:
        case "csv":
            frame().to_csv(file, index=False)
        case "parquet":
            frame().to_parquet(file)
        case _:
            with file.open("wb") as stream:
                np.savez(stream, allow_pickle=True, features=FEATURES, target=CLASSES)
    address = upload(file, tmp_path)
    table = table_of({"source": source, "path": address})
    assert (len(table.features), table.origin) == (12, address)


@pytest.mark.parametrize("source", ["csv", "npz"])
def test_content_that_was_not_uploaded(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_HOME", str(tmp_path))
    address = f"sha256:{'0' * 64}"
    message = f"data.path: expected content that has been uploaded here, came '{address}', which has not"
    assert refusal({"source": source, "path": address}) == message
