"""Rows are called by the file that they are from and their place there, from whatever source they come."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.dataset import Dataset
from pipelines.data.draws import files_of, ids_of, places_of, row_ids
from pipelines.data.loading import load_dataset
from pipelines.data.row_names import RowNames
from pipelines.data.sources import read_table
from pipelines.errors import DataError
from pipelines.spec.data import CsvSource, ParquetSource, SyntheticSource
from pipelines.spec_file import build_spec
from tests.unit.pipelines.data.albums import write_album

ROWS = 30


def numbered(folder: Path, suffix: str) -> None:
    """Two files of 30 and 10 rows; a row's number says which it is: 100 for the first of the first file."""
    for name, first, count in (("a", 100, ROWS), ("b", 200, 10)):
        numbers = np.arange(first, first + count)
        texts = [f"w{number}" for number in numbers]
        frame = pd.DataFrame({"number": numbers.astype(float), "target": numbers % 2, "text": texts})
        path = folder / f"{name}.{suffix}"
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)


def loaded(data: dict[str, Any], **sections: object) -> Dataset:
    return load_dataset(build_spec({"data": data} | sections))


def names_of(dataset: Dataset) -> list[str]:
    """Of all training rows."""
    assert dataset.train.ids is not None
    return list(dataset.row_names.of(dataset.train.ids))


def name_of(number: int) -> str:
    return f"{number % 100 + 1} of {'ab'[number // 200]}"


def test_an_id_is_a_file_and_a_place() -> None:
    ids = row_ids(3, 7, 2)
    assert (files_of(ids).tolist(), places_of(ids).tolist()) == ([3, 3], [7, 8])
    np.testing.assert_array_equal(ids_of(np.array([3, 3], np.int8), np.array([7, 8], np.int32)), ids)


def test_rows_are_counted_from_1() -> None:
    ids = np.concatenate([row_ids(0, 0, 1), row_ids(1, 8, 1)])
    assert RowNames().of(ids) == ("1", "9")
    assert RowNames(("a.csv", "b.csv")).of(ids) == ("1 of a.csv", "9 of b.csv")
    assert RowNames(("cats/1.png", "cats/2.png"), one_a_file=True).of(ids) == ("cats/1.png", "cats/2.png")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_rows_of_several_files_are_called_by_file_and_place(suffix: str, tmp_path: Path) -> None:
    numbered(tmp_path, suffix)
    dataset = loaded({"source": suffix, "path": str(tmp_path), "features": ["number"]})
    expected = [f"{name_of(int(number))}.{suffix}" for number in dataset.train.features[:, 0]]
    assert names_of(dataset) == expected


def test_rows_of_one_file_are_called_by_their_place(tmp_path: Path) -> None:
    numbered(tmp_path, "csv")
    dataset = loaded({"source": "csv", "path": str(tmp_path / "b.csv"), "features": ["number"]})
    assert names_of(dataset) == [str(int(number) - 199) for number in dataset.train.features[:, 0]]


def test_rows_without_files_are_counted() -> None:
    dataset = loaded({"source": "synthetic", "rows": 40, "classes": 2})
    table = read_table(SyntheticSource(source="synthetic", rows=40, classes=2), "classification", 0)
    np.testing.assert_array_equal(dataset.train.features, table.features[np.array(names_of(dataset), int) - 1])


def test_texts_are_called_so_too(tmp_path: Path) -> None:
    numbered(tmp_path, "csv")
    data = {"source": "text", "path": str(tmp_path), "text": "text", "target": "target"}
    dataset = loaded(data, model={"family": "rnn"})
    numbers = [int(str(text)[1:]) for text in dataset.train.columns["text"][:, 0]]
    assert names_of(dataset) == [f"{name_of(number)}.csv" for number in numbers]


def test_a_window_is_called_by_its_first_step(tmp_path: Path) -> None:
    pd.DataFrame({"time": range(50, 0, -1), "value": np.arange(50.0)}).to_csv(tmp_path / "rows.csv", index=False)
    data = {"source": "series", "path": str(tmp_path / "rows.csv"), "time": "time", "targets": ["value"], "window": 3}
    dataset = loaded(data, model={"family": "rnn"}, loss={"name": "mse"})
    assert names_of(dataset) == [str(int(window[0, 0]) + 1) for window in dataset.train.features]


def test_a_picture_is_called_by_its_file(tmp_path: Path) -> None:
    write_album(tmp_path)
    dataset = loaded({"source": "images", "path": str(tmp_path), "size": [8, 8]}, model={"family": "cnn"})
    names = names_of(dataset)
    assert all((tmp_path / name).is_file() for name in names)
    assert [name.partition("/")[0] for name in names] == [dataset.labels[int(each)] for each in dataset.train.targets]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_wrong_value_of_resident_rows_is_named_with_its_file(suffix: str, tmp_path: Path) -> None:
    numbered(tmp_path, suffix)
    read = pd.read_csv if suffix == "csv" else pd.read_parquet
    frame = read(tmp_path / f"b.{suffix}")
    frame.loc[4, "number"] = np.inf
    frame.to_csv(tmp_path / "b.csv", index=False) if suffix == "csv" else frame.to_parquet(tmp_path / "b.parquet")
    kind = CsvSource if suffix == "csv" else ParquetSource
    source = kind.model_validate({"source": suffix, "path": str(tmp_path), "features": ["number"]})
    with pytest.raises(DataError, match=rf"came inf in row 5 of b\.{suffix}"):
        read_table(source, "classification", 0)
