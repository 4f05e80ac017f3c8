"""Files block by block give the rows that they give at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.columns import read_columns
from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, find_files, read_csv, read_parquet
from pipelines.data.plans import parts_of
from pipelines.data.table import Table, joined
from pipelines.data.table_plan import TablePlan
from pipelines.errors import DataError
from pipelines.spec.data import CsvSource, ParquetSource, Split
from tests.unit.pipelines.data.frames import birds, birds_spec


def source_of(path: Path | str, **options: object) -> CsvSource | ParquetSource:
    given: dict[str, Any] = birds_spec(path, **options)
    return CsvSource(**given) if given["source"] == "csv" else ParquetSource(**given)


def in_blocks(source: CsvSource | ParquetSource, block_bytes: int = 7 * 196) -> tuple[Table, list[int]]:
    plan = TablePlan.of(source, block_bytes)
    found = [(ids, table) for piece in plan.pieces() for ids, table in plan.read(piece)]
    assert len(found) > 3
    ids = np.concatenate([each for each, _ in found])
    assert len(set(ids.tolist())) == len(ids)
    return joined([table for _, table in found]), [len(table.target) for _, table in found]


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_blocks_are_the_rows_of_the_whole(source: str, tmp_path: Path) -> None:
    for name, rows in (("b", 40), ("a", 23)):
        frame = birds(rows, seed=rows)
        if name == "b":
            frame = frame[list(reversed(frame.columns))]
        if source == "csv":
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
        else:
            frame.to_parquet(tmp_path / f"{name}.parquet", row_group_size=9)
    asked = source_of(tmp_path, source=source)
    table, sizes = in_blocks(asked)
    assert max(sizes) <= 9
    found = find_files(asked.path, (*CSV_SUFFIXES, *PARQUET_SUFFIXES))
    expected = read_columns(asked, read_csv(found, asked.categories) if source == "csv" else read_parquet(found))
    assert table.feature_names == expected.feature_names
    np.testing.assert_array_equal(table.target, expected.target)
    for name, values in expected.columns.items():
        np.testing.assert_array_equal(table.columns[name], values)


def test_folders_may_be_columns(tmp_path: Path) -> None:
    frame = birds(40).drop(columns=["island", "ring", "sex"]).fillna(1.0)
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        frame.to_parquet(tmp_path / f"year={year}/rows.parquet", row_group_size=9)
    table, _ = in_blocks(source_of(tmp_path, source="parquet", categories=[], missing="refuse"), block_bytes=64)
    assert table.feature_names == ("weight", "year")
    assert table.features[:, 1].tolist() == [2023.0] * 40 + [2024.0] * 40


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_a_wrong_value_is_named_with_its_row_and_file(source: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        frame = birds(40)
        frame["weight"] = frame["weight"].fillna(1.0)
        if name == "b":
            frame.loc[30, "weight"] = np.inf
        if source == "csv":
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
        else:
            frame.to_parquet(tmp_path / f"{name}.parquet", row_group_size=9)
    with pytest.raises(DataError, match=rf"finite numbers in column 'weight', came inf in row 31 of b\.{source}"):
        in_blocks(source_of(tmp_path, source=source))


def test_every_file_has_the_same_columns(tmp_path: Path) -> None:
    birds(20).to_csv(tmp_path / "a.csv", index=False)
    birds(20).rename(columns={"sex": "gender"}).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(DataError, match=r"in every file, came .*'gender'.* in 'b\.csv'"):
        in_blocks(source_of(tmp_path))


def test_parts_have_their_shares(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(20_000), "target": 0}).to_parquet(tmp_path / "rows.parquet", row_group_size=6000)
    plan = TablePlan.of(ParquetSource(source="parquet", path=str(tmp_path / "rows.parquet")))
    parts = np.concatenate([parts_of(ids, Split(), 3) for piece in plan.pieces() for ids, _ in plan.read(piece)])
    shares = np.bincount(parts) / len(parts)
    np.testing.assert_allclose(shares, [0.7, 0.15, 0.15], atol=0.015)  # four standard errors
