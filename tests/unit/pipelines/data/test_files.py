"""One file, several, a folder, another file system: the same rows."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, find_files, read_csv, read_parquet
from pipelines.errors import DataError
from tests.uninstalled import without_s3fs

FRAME = pd.DataFrame({"a": [1.5, 2.5, 3.5, 4.5], "b": ["x", "y", "x", "y"]})


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    """fsspec's file system in memory, which stands for any that is not local."""
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def halves(folder: Path | str) -> None:
    """The frame as two CSV files, beside files that are none of the data."""
    for name, part in (("0.csv", FRAME[:2]), ("1.csv", FRAME[2:])):
        with fsspec.open(f"{folder}/{name}", "wb", auto_mkdir=True) as file:
            part.to_csv(file, index=False)
    for name in ("_SUCCESS", ".hidden.csv", "notes.txt"):
        with fsspec.open(f"{folder}/{name}", "wb") as file:
            file.write(b"nothing of interest")


def rows(address: str) -> list[list[object]]:
    frame = read_csv(find_files(address, CSV_SUFFIXES), ())
    return frame[["a", "b"]].to_numpy(object).tolist()


def refusal(address: str, suffixes: tuple[str, ...] = CSV_SUFFIXES) -> str:
    def read() -> pd.DataFrame:
        found = find_files(address, suffixes)
        return read_csv(found, ()) if suffixes == CSV_SUFFIXES else read_parquet(found)

    with pytest.raises(DataError) as caught:
        read()
    return str(caught.value)


@pytest.mark.parametrize("address", ["{}", "{}/", "{}/*.csv", "{}/[01].csv", "{}/?.csv"])
def test_a_folder_and_a_pattern_are_all_their_files(address: str, tmp_path: Path) -> None:
    halves(tmp_path)
    assert rows(address.format(tmp_path)) == FRAME.to_numpy(object).tolist()


def test_addresses_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    halves(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert rows("data/1.csv") == FRAME[2:].to_numpy(object).tolist()
    assert rows("data") == rows("data/*.csv") == FRAME.to_numpy(object).tolist()


@pytest.mark.parametrize("address", ["memory://data", "memory://data/*.csv"])
def test_another_file_system_by_its_address(address: str, store: fsspec.AbstractFileSystem) -> None:
    halves("memory://data")
    assert rows(address) == FRAME.to_numpy(object).tolist()
    assert rows("memory://data/0.csv") == FRAME[:2].to_numpy(object).tolist()
    came = "'memory://data/2.csv', which is neither"
    assert refusal("memory://data/2.csv") == f"data.path: expected an existing file or folder, came {came}"


def test_a_file_may_be_compressed(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "rows.csv.gz", index=False)
    assert rows(str(tmp_path)) == FRAME.to_numpy(object).tolist()


def test_a_name_that_looks_like_a_pattern_is_a_name_if_there_is_such_a_file(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "rows[1].csv", index=False)
    assert rows(str(tmp_path / "rows[1].csv")) == FRAME.to_numpy(object).tolist()


@pytest.mark.parametrize("base", ["local", "memory://tables"])
def test_folders_named_by_a_value_become_a_column(base: str, tmp_path: Path, store: fsspec.AbstractFileSystem) -> None:
    folder = str(tmp_path) if base == "local" else base
    for year in (2023, 2024):
        with fsspec.open(f"{folder}/year={year}/part.parquet", "wb", auto_mkdir=True) as file:
            FRAME.to_parquet(file)
    for address in (folder, f"{folder}/year=*/*.parquet"):
        frame = read_parquet(find_files(address, PARQUET_SUFFIXES))
        assert sorted(frame.columns) == ["a", "b", "year"]
        assert [int(year) for year in frame["year"]] == [2023] * 4 + [2024] * 4
    single = read_parquet(find_files(f"{folder}/year=2024/part.parquet", PARQUET_SUFFIXES))
    pd.testing.assert_frame_equal(single, FRAME)


def test_texts_stay_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("code,n\n007,NA\nNA,1\n,2\n")
    frame = read_csv(find_files(str(tmp_path / "rows.csv"), CSV_SUFFIXES), ["code"])
    assert frame["code"].tolist() == ["007", "NA", ""]
    np.testing.assert_array_equal(frame["n"], [np.nan, 1, 2])


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("none")
    assert refusal(str(tmp_path / "empty")) == (
        "data.path: expected files ending in .csv or .csv.gz or .csv.bz2 or .csv.xz or .csv.zst "
        f"below '{tmp_path}/empty', came none"
    )
    assert refusal(f"{tmp_path}/*.csv") == (
        f"data.path: expected a pattern that files match, came '{tmp_path}/*.csv', which none does"
    )
    assert refusal("drivetrain:none.csv") == (
        "data.path: expected a file that has been shipped with the recipes, came 'drivetrain:none.csv', which has not"
    )
    assert refusal("warp://bucket/rows.csv").startswith(
        "data.path: expected an address that fsspec can open here, came 'warp://bucket/rows.csv' ("
    )


def test_files_have_the_same_columns(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "0.csv", index=False)
    FRAME.rename(columns={"b": "c"}).to_csv(tmp_path / "1.csv", index=False)
    assert refusal(str(tmp_path)) == "data.path: expected the columns 'a', 'b' in every file, came 'a', 'c' in '1.csv'"
    FRAME.to_parquet(tmp_path / "0.parquet")
    FRAME.drop(columns="b").to_parquet(tmp_path / "1.parquet")
    assert refusal(str(tmp_path), PARQUET_SUFFIXES) == (
        "data.path: expected the columns 'a', 'b' in every file, came 'a' in '1.parquet'"
    )


def test_the_file_among_several_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "0.csv", index=False)
    (tmp_path / "1.csv").write_bytes(b"\xff\xfe\x00\x81")
    assert refusal(str(tmp_path)).startswith("data.path: expected a readable csv file, came 1.csv: ")


def test_the_package_that_a_bucket_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without_s3fs(monkeypatch)
    assert refusal("s3://bucket/rows.csv") == (
        "data.path: expected the package s3fs for an address in S3 (pip install 'drivetrain[s3]'), "
        "came 's3://bucket/rows.csv' without it"
    )
