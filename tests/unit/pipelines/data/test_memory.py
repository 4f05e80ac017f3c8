"""What `auto` decides, and from which figures."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.data.memory import Choice, choose_memory, machine_memory
from pipelines.data.planning import plan_of
from pipelines.spec.data import CsvSource, ImagesSource, ParquetSource, SklearnSource, TextSource
from tests.unit.pipelines.data.albums import write_album
from tests.unit.pipelines.data.test_texts import data, letters

MIB = 2**20


def numbers(rows: int, columns: int = 4) -> pd.DataFrame:
    random = np.random.default_rng(0)
    names = [f"x{column}" for column in range(columns)]
    frame = pd.DataFrame(random.standard_normal((rows, columns), dtype=np.float32), columns=names)
    return frame.assign(target=random.integers(0, 2, rows))


def test_parquet_says_how_many_rows_it_has(tmp_path: Path) -> None:
    for name in ("a", "b"):
        numbers(500).to_parquet(tmp_path / f"{name}.parquet", row_group_size=64)
    size = plan_of(ParquetSource(source="parquet", path=str(tmp_path))).size
    assert (size.rows, size.row_bytes, size.total_bytes) == (1000, 16, 16_000)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_is_estimated_from_its_beginning(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.data.extents._SAMPLE_BYTES", MIB)
    text = numbers(60_000).to_csv(index=False).encode()
    content = gzip.compress(text, 1) if suffix.endswith("gz") else text
    for name in ("a", "b"):
        (tmp_path / f"{name}{suffix}").write_bytes(content)
    size = plan_of(CsvSource(source="csv", path=str(tmp_path))).size
    assert size.row_bytes == 16
    assert abs(size.rows - 120_000) < 0.15 * 120_000


def test_several_packed_files_count_as_what_they_hold(tmp_path: Path) -> None:
    content = gzip.compress(numbers(1000).to_csv(index=False).encode())
    for number in range(4):
        (tmp_path / f"{number}.csv.gz").write_bytes(content)
    assert plan_of(CsvSource(source="csv", path=str(tmp_path))).size.rows == pytest.approx(4000, rel=0.05)


def test_categories_take_more_than_numbers(tmp_path: Path) -> None:
    numbers(10).to_csv(tmp_path / "rows.csv", index=False)
    source = CsvSource(source="csv", path=str(tmp_path / "rows.csv"), categories=("x0",))
    size = plan_of(source).size
    assert (size.rows, size.row_bytes) == (10, 3 * 4 + 64)


def choice(folder: Path, memory: str, memory_bytes: int) -> Choice:
    numbers(1024).to_parquet(folder / "rows.parquet")  # 16 KiB
    source = ParquetSource.model_validate({"source": "parquet", "path": str(folder / "rows.parquet"), "memory": memory})
    return choose_memory(source, memory_bytes)


def test_auto_streams_what_is_more_than_a_tenth_of_memory(tmp_path: Path) -> None:
    fits = choice(tmp_path, "auto", 10 * 16 * 1024)
    assert fits.plan is None
    assert fits.reason.startswith("data stays in memory: at most a tenth of 0.00 GiB, as 1,024 rows of 16 bytes are")
    assert choice(tmp_path, "auto", 10 * 16 * 1024 - 10).plan is not None


def test_pictures_count_as_the_floats_that_they_become(tmp_path: Path) -> None:
    source = ImagesSource(source="images", path=str(write_album(tmp_path / "album")), size=(8, 6))
    total = 36 * 3 * 8 * 6 * 4
    assert choose_memory(source, 10 * total).plan is None
    assert choose_memory(source, 10 * total - 10).plan is not None


def test_texts_count_with_their_tokens(tmp_path: Path) -> None:
    letters(2000).to_parquet(tmp_path / "rows.parquet")
    source = TextSource.model_validate(data(tmp_path / "rows.parquet"))
    total = 2000 * plan_of(source).size.row_bytes
    assert choose_memory(source, 10 * total).plan is None
    assert choose_memory(source, 10 * total - 10).plan is not None


def test_the_setting_decides_alone(tmp_path: Path) -> None:
    assert choice(tmp_path, "stream", 2**40).plan is not None
    assert choice(tmp_path, "resident", 1) == Choice(plan=None, reason="")
    assert choose_memory(SklearnSource(), 1) == Choice(plan=None, reason="")


def test_memory_is_what_the_machine_has() -> None:
    assert 2**28 < machine_memory() <= 2**50
