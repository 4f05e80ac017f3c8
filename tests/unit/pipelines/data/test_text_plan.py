"""Texts block by block give the rows that they give at once, and refuse what they refuse."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.files import find_files, read_any_table
from pipelines.data.loading import load_dataset
from pipelines.data.plans import Sample
from pipelines.data.splits import SplitIndices
from pipelines.data.table import Table, joined
from pipelines.data.targets import encode_target
from pipelines.data.text_plan import TextPlan
from pipelines.data.texts import TEXT_SUFFIXES, read_texts
from pipelines.data.words import Words
from pipelines.errors import DataError
from pipelines.spec.data import TextSource
from pipelines.spec_file import build_spec
from tests.unit.pipelines.data.test_texts import data, letters


def source_of(path: Path, **options: object) -> TextSource:
    return TextSource.model_validate(data(path, **options))


def written(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, row_group_size=9)
    return path


def blocks(source: TextSource, block_bytes: int = 1200) -> Iterator[Table]:
    plan = TextPlan.of(source, block_bytes)
    return (table for piece in plan.pieces() for _, table in plan.read(piece))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_blocks_are_the_rows_of_the_whole(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(letters(), tmp_path / f"{name}{suffix}")
    source = source_of(tmp_path)
    found = list(blocks(source))
    assert len(found) > 10
    expected = read_texts(source, read_any_table(find_files(source.path, TEXT_SUFFIXES)))
    together = joined(found)
    assert together.columns["letter"].tolist() == expected.columns["letter"].tolist()
    assert together.target.tolist() == expected.target.tolist()


def test_numbers_among_texts_are_texts(tmp_path: Path) -> None:
    frame = letters(40)
    frame.loc[20:, "letter"] = "42"
    source = source_of(written(frame, tmp_path / "rows.csv"))
    assert joined(list(blocks(source))).columns["letter"][20:, 0].tolist() == ["42"] * 20


def test_numbers_alone_are_refused(tmp_path: Path) -> None:
    source = source_of(written(letters().assign(letter="7"), tmp_path / "rows.csv"))
    with pytest.raises(DataError, match="expected texts in column 'letter', came numbers alone, such as 7"):
        sampled(source)


def sampled(source: TextSource) -> tuple[TextPlan, Table, Words]:
    """What a scan would make of the first 40 rows for training."""
    plan, table = TextPlan.of(source), joined(list(blocks(source)))
    words = plan.words(table.take(np.arange(40)))
    spec = build_spec({"data": source.model_dump()})
    split = SplitIndices(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    plan.dataset(spec, Sample(table, encode_target(table, "classification"), split, words))
    return plan, table, words


@pytest.mark.parametrize(("options", "stored"), [({}, "|u1"), ({"unit": "bytes"}, "<u2"), ({"max_tokens": 3}, "|u1")])
def test_shards_get_the_tokens_of_resident_rows(options: dict[str, object], stored: str, tmp_path: Path) -> None:
    source = source_of(written(letters(), tmp_path / "rows.csv"), **options)
    dataset = load_dataset(build_spec({"data": source.model_dump()}))
    rows = Table(np.empty((len(dataset.train), 0), np.float32), dataset.train.targets, (), "", (), "")
    rows = Table(**(vars(rows) | {"columns": dataset.train.columns}))
    plan = TextPlan.of(source)
    tokens = plan.encoder(dataset)(rows)
    assert tokens.dtype.str == plan.stored_type(dataset) == stored
    np.testing.assert_array_equal(tokens, dataset.train.features)
    assert plan.encoder(dataset)(rows.take(np.arange(0))).shape == (0, *dataset.row_shape)


def test_training_rows_have_the_length_of_the_longest_of_all(tmp_path: Path) -> None:
    source = source_of(written(letters(), tmp_path / "rows.csv"))
    plan, table, words = sampled(source)
    assert words.longest == 5
    words.longest = 9
    split = SplitIndices(np.arange(40), np.arange(40, 50), np.arange(50, 60))
    sample = Sample(table, encode_target(table, "classification"), split, words)
    assert plan.dataset(build_spec({"data": source.model_dump()}), sample).row_shape == (9,)
    assert plan.row_bytes(table, words) > 9 * 8


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_size_is_estimated_from_the_first_rows(suffix: str, tmp_path: Path) -> None:
    frame = letters(4000).assign(letter=lambda each: each["letter"] + ',\n"quoted"')
    size = TextPlan.of(source_of(written(frame, tmp_path / f"rows{suffix}"))).size
    assert abs(size.rows - 4000) < 400
    assert 8 * 9 + 49 + 20 < size.row_bytes < 8 * 9 + 49 + 50  # tokens, and a text of some 30 letters
    assert TextPlan.of(source_of(written(letters(), tmp_path / "few.csv"))).size.rows == 60


@pytest.mark.parametrize(
    "wrong",
    [
        letters().assign(letter=lambda each: each["letter"].where(each.index != 34)),
        letters().assign(letter=lambda each: each["letter"].where(each.index != 34, "a\0b")),
        letters().assign(mood=lambda each: each["mood"].where(each.index != 34)),
        letters().rename(columns={"letter": "body"}),
    ],
    ids=["gap", "zero", "target", "column"],
)
def test_what_is_no_text_is_told_as_ever(wrong: pd.DataFrame, tmp_path: Path) -> None:
    path = written(wrong, tmp_path / "rows.parquet")
    with pytest.raises(DataError) as resident:
        load_dataset(build_spec({"data": data(path)}))
    with pytest.raises(DataError) as streamed:
        list(blocks(source_of(path)))
    assert str(streamed.value) == str(resident.value)


def test_of_several_files_the_one_is_named(tmp_path: Path) -> None:
    written(letters(), tmp_path / "a.csv")
    written(letters().assign(letter=lambda each: each["letter"].where(each.index != 34)), tmp_path / "b.csv")
    with pytest.raises(DataError, match=r"a missing value \(NaN\) in row 35 of b\.csv"):
        list(blocks(source_of(tmp_path)))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_nothing_has_a_size_too(suffix: str, tmp_path: Path) -> None:
    path = written(letters()[:0], tmp_path / f"rows{suffix}")
    assert TextPlan.of(source_of(path)).size.total_bytes == 0
    pq.write_table(
        pa.table({"letter": pa.array([], pa.string()), "mood": pa.array([], pa.string())}), tmp_path / "none"
    )
    assert TextPlan.of(source_of(tmp_path / "none")).size.total_bytes == 0
