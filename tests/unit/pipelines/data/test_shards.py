"""Rows that are written come back, or nobody takes them for whole."""

from collections.abc import Iterator
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data import shards as module
from pipelines.data.draws import row_ids
from pipelines.data.shards import Block, Layout, ShardReader, Shards, check_disk, find_shards, num_shards, write_shards
from pipelines.errors import ResourceError, TrainingError

ROWS, SHARDS = 60, 5
LAYOUT = Layout((2,), "<f4", "<i8")


def features_of(rows: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.stack([rows, rows + 0.5], axis=1).astype(np.float32)


def blocks(fail_after: int = 100) -> Iterator[Block]:
    """Row r goes to shard r % 4: the fifth stays empty."""
    for number, start in enumerate(range(0, ROWS, 20)):
        if number == fail_after:
            raise KeyboardInterrupt
        rows = np.arange(start, start + 20)
        order = np.argsort(rows % 4, kind="stable")
        counts = np.bincount(rows % 4, minlength=SHARDS)
        yield Block(features_of(rows[order]), rows[order], tuple(counts.tolist()), row_ids(1, start, 20)[order])


def written(folder: Path) -> Shards:
    return write_shards(folder, "key", SHARDS, LAYOUT, blocks())


def test_rows_come_back_in_any_order(tmp_path: Path) -> None:
    shards = written(tmp_path / "rows")
    assert (shards.sizes, len(shards)) == ((15, 15, 15, 15, 0), ROWS)
    assert find_shards(tmp_path / "rows", "key") == shards
    asked = np.random.default_rng(0).permutation(ROWS)
    reader = ShardReader(shards)
    features, targets = reader.take(asked)
    expected = asked // 15 + asked % 15 * 4
    np.testing.assert_array_equal(targets, expected)
    np.testing.assert_array_equal(features, features_of(expected))
    np.testing.assert_array_equal(reader.ids(asked), row_ids(1, 0, ROWS)[expected])
    assert len(reader.take(asked[:0])[0]) == 0


def test_at_most_two_shards_are_in_memory(tmp_path: Path) -> None:
    reader = ShardReader(written(tmp_path / "rows"))
    for row in (0, 15, 30, 45, 0, 59):
        reader.take(np.array([row]))
        assert len(reader._held) <= 2


def test_what_was_not_finished_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path / "rows", "key", SHARDS, LAYOUT, blocks(fail_after=2))
    assert find_shards(tmp_path / "rows", "key") is None
    shards = written(tmp_path / "rows")
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]  # what was left behind is gone
    assert find_shards(tmp_path / "rows", "another key") is None
    (tmp_path / "rows/0001.rows").write_bytes(b"short")
    assert find_shards(tmp_path / "rows", "key") is None
    assert written(tmp_path / "rows") == shards
    (tmp_path / "rows/index.json").write_text('{"key": "key", "sizes": [15], "sha256": [""]}')  # of an older version
    assert find_shards(tmp_path / "rows", "key") is None


@pytest.mark.parametrize("harm", ["altered", "gone"])
def test_altered_shards_are_refused(harm: str, tmp_path: Path) -> None:
    shards = written(tmp_path / "rows")
    file = tmp_path / "rows/0001.rows"
    content = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(content[:-1] + b"\1")
    reader = ShardReader(shards)
    reader.take(np.arange(15))
    with pytest.raises(TrainingError, match=r"0001\.rows"):
        reader.take(np.arange(20))


def test_a_full_disk_is_told_of_before(tmp_path: Path) -> None:
    check_disk(tmp_path / "new", 1000, LAYOUT)
    with pytest.raises(ResourceError, match=rf"stream from {tmp_path}, where they need 22351742.0 GiB and .* are free"):
        check_disk(tmp_path, 10**15, LAYOUT)


def test_very_much_data_has_larger_shards_instead_of_more() -> None:
    assert [num_shards(each) for each in (0, 1, 2**25, 2**25 + 1, 2**40)] == [1, 1, 1, 2, module.MAX_SHARDS]


def test_a_shard_may_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Piecemeal(FileIO):
        def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a buffer
            return super().readinto(memoryview(buffer)[:7])

    shards = written(tmp_path / "rows")
    expected = ShardReader(shards).take(np.arange(ROWS))

    def opened(path: Path, _: str, buffering: int = -1) -> FileIO | BufferedReader:
        return BufferedReader(Piecemeal(path)) if buffering else Piecemeal(path)

    monkeypatch.setattr(Path, "open", opened)
    for came, whole in zip(ShardReader(shards).take(np.arange(ROWS)), expected, strict=True):
        np.testing.assert_array_equal(came, whole)
