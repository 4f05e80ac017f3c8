"""Encodings: fitted on training rows alone, and what they make of rows that training never saw."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.encoding import Category, Encoding, Quantity
from pipelines.data.loading import load_dataset
from pipelines.spec_file import build_spec
from tests.unit.pipelines.data.frames import birds, birds_spec

NAN = float("nan")


def numbers(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]


def texts(*values: str) -> NDArray[np.object_]:
    return np.array(values, object)[:, None]


def birds_dataset(folder: Path, **options: object) -> Dataset:
    birds().to_csv(folder / "birds.csv", index=False)
    return load_dataset(build_spec({"data": birds_spec(folder / "birds.csv", **options)}))


def test_a_missing_number_is_the_median_and_marked() -> None:
    encoding = Encoding.fit({"n": numbers(1, NAN, 3, 10)}, impute=True)
    assert encoding.columns == (Quantity("n", 3.0, marked=True),)
    assert encoding.apply({"n": numbers(5, NAN)}).tolist() == [[5, 0], [3, 1]]


def test_a_column_without_gaps_has_no_mark_but_a_median() -> None:
    encoding = Encoding.fit({"n": numbers(1, 2, 30)}, impute=True)
    assert encoding.apply({"n": numbers(5, NAN)}).tolist() == [[5], [2]]


def test_without_a_policy_numbers_stay_as_they_are() -> None:
    encoding = Encoding.fit({"n": numbers(1, 2, 30)}, impute=False)
    assert encoding.apply({"n": numbers(5)}).tolist() == [[5]]


def test_each_category_is_a_feature_and_an_unknown_one_none() -> None:
    encoding = Encoding.fit({"c": texts("b", "a", "b", "")}, impute=True)
    assert encoding.columns == (Category("c", ("", "a", "b")),)
    assert encoding.apply({"c": texts("a", "", "b", "z")}).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_only_quantities_are_standardised(tmp_path: Path) -> None:
    dataset = birds_dataset(tmp_path)
    assert dataset.encoding.measured.tolist() == [True, *[False] * 10]  # a mark, 3 islands, 3 rings, 2 sexes and none
    scaled = dataset.features.apply(dataset.train.features)
    np.testing.assert_allclose((scaled[:, 0].mean(), scaled[:, 0].std()), (0, 1), atol=1e-5)
    np.testing.assert_array_equal(scaled[:, 1:], dataset.train.features[:, 1:])
    assert set(np.unique(scaled[:, 1:])) == {0, 1}


def test_the_encoding_knows_the_training_rows_alone(tmp_path: Path) -> None:
    dataset = birds_dataset(tmp_path)
    assert dataset.encoding == Encoding.fit(dataset.train.columns, impute=True)
    for part in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(part.features, dataset.encoding.apply(part.columns))
        assert part.inputs is part.columns


def test_the_digest_follows_the_texts(tmp_path: Path) -> None:
    before = birds_dataset(tmp_path).digest
    assert birds_dataset(tmp_path).digest == before
    frame = birds()
    frame.loc[3, "island"] = "Bisco"
    frame.to_csv(tmp_path / "other.csv", index=False)
    assert load_dataset(build_spec({"data": birds_spec(tmp_path / "other.csv")})).digest != before


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_csv_and_parquet_give_the_same_rows(source: str, tmp_path: Path) -> None:
    path = tmp_path / f"birds.{source}"
    birds().to_csv(path, index=False) if source == "csv" else birds().to_parquet(path)
    dataset = load_dataset(build_spec({"data": birds_spec(path, source=source)}))
    assert dataset.digest == birds_dataset(tmp_path).digest
