"""Pictures run by run give the rows that they give at once, and refuse what they refuse."""

import pickle
import shutil
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest

from pipelines.data.albums import Album
from pipelines.data.draws import row_ids
from pipelines.data.loading import load_dataset
from pipelines.data.picture_plan import PicturePlan
from pipelines.data.pictures import read_pictures
from pipelines.data.table import Table, joined
from pipelines.errors import DataError
from pipelines.spec.data import ImagesSource
from pipelines.spec_file import build_spec
from tests.unit.pipelines.data.albums import write_album

ROW_BYTES = 3 * 8 * 6


def source_of(path: Path | str, **options: object) -> ImagesSource:
    return ImagesSource.model_validate({"source": "images", "path": str(path), "size": [8, 6]} | options)


def plan_of(source: ImagesSource) -> PicturePlan:
    """Blocks of four pictures, pieces of ten."""
    return PicturePlan.of(source, block_bytes=4 * 4 * ROW_BYTES, piece_bytes=10 * 2**13)


def in_pieces(plan: PicturePlan) -> tuple[Table, list[int], list[int]]:
    """The rows that tasks would read, their ids, and how many a block has."""
    sent = pickle.loads(pickle.dumps(plan.bare()))
    assert not sent.album.paths
    found = [(ids, table) for piece in plan.pieces() for ids, table in sent.read(piece)]
    ids = np.concatenate([each for each, _ in found]).tolist()
    return joined([table for _, table in found]), ids, [len(table.target) for _, table in found]


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_runs_are_the_rows_of_the_whole(archived: bool, color: str, tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    path = shutil.make_archive(str(tmp_path / "album"), "zip", album) if archived else str(album)
    source = source_of(path, color=color)
    plan = plan_of(source)
    assert [(len(piece.paths), piece.first) for piece in plan.pieces()] == [(10, 0), (10, 10), (10, 20), (6, 30)]
    table, ids, sizes = in_pieces(plan)
    expected = read_pictures(source)
    np.testing.assert_array_equal(table.features, expected.features)
    assert table.target.tolist() == expected.target.tolist()
    assert (ids, table.are_pictures) == ([int(row_ids(file, 0, 1)[0]) for file in range(36)], True)
    assert max(sizes) == (4 if color == "rgb" else 10)


def test_shards_get_the_pixels(tmp_path: Path) -> None:
    spec = build_spec({"data": {"source": "images", "path": str(write_album(tmp_path / "album")), "size": [8, 6]}})
    assert isinstance(spec.data, ImagesSource)
    plan, dataset, table = PicturePlan.of(spec.data), load_dataset(spec), read_pictures(spec.data)
    stored = plan.encoder(dataset)(table)
    assert stored.dtype.str == plan.stored_type(dataset) == "|u1"
    np.testing.assert_array_equal(stored, table.features)


@pytest.mark.parametrize("size", [None, [5, 4]])
def test_the_size_is_known_before_all_are_opened(size: list[int] | None, tmp_path: Path) -> None:
    album = write_album(tmp_path / "album", sizes=((9, 7),))
    (album / "sand" / "00.png").write_bytes(b"broken")
    plan = PicturePlan.of(source_of(album, size=size))
    height, width = size or (9, 7)
    assert (plan.shape, plan.size.rows, plan.size.row_bytes) == ((3, height, width), 36, 4 * 3 * height * width)


def both_refusals(source: ImagesSource) -> tuple[str, str]:
    """Of a resident job, and of one that streams."""
    with pytest.raises(DataError) as resident:
        read_pictures(source)
    with pytest.raises(DataError) as streamed:
        in_pieces(plan_of(source))
    return str(resident.value), str(streamed.value)


@pytest.mark.parametrize("content", [b"not a picture at all", None])
def test_what_is_no_picture_is_named_as_ever(content: bytes | None, tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    whole = (album / "leaf" / "04.png").read_bytes()
    (album / "leaf" / "04.png").write_bytes(whole[: len(whole) // 2] if content is None else content)
    resident, streamed = both_refusals(source_of(album))
    assert resident == streamed
    assert "came 'leaf/04.png'" in resident


def test_pictures_of_other_sizes_are_refused_in_another_piece_too(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album", sizes=((9, 7),))
    shutil.copytree(write_album(tmp_path / "other", sizes=((6, 12),)), album / "sand", dirs_exist_ok=True)
    resident, streamed = both_refusals(source_of(album, size=None))
    assert resident == streamed
    assert resident.endswith("came 2 sizes, from 6×12 to 9×7")


def test_what_is_no_folder_of_classes_is_refused_as_ever(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    shutil.copy(album / "leaf" / "00.png", album / "00.png")
    resident, streamed = both_refusals(source_of(album))
    assert resident == streamed
    assert resident.endswith("came '00.png' in none of them")


def test_an_archive_is_not_read_as_a_whole(tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "album"), "zip", write_album(tmp_path / "album")))
    album = Album.of(str(archive))
    content = archive.read_bytes()
    middle = content.index(b"leaf/05.jpg") + 60
    archive.write_bytes(content[:middle] + b"\0" * 8 + content[middle + 8 :])
    with album.opened() as read:
        assert read("leaf/04.png").startswith(b"\x89PNG")
        with pytest.raises((BadZipFile, zlib.error)):
            read("leaf/05.jpg")


def test_an_archive_that_is_gone_is_told_of(tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "album"), "zip", write_album(tmp_path / "album")))
    album = Album.of(str(archive))
    archive.unlink()
    with pytest.raises(DataError, match="or a zip archive, with a folder for each class"), album.opened():
        pass
