"""Pictures in folders: sizes, colours, archives, and what is no picture."""

import shutil
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from pipelines.data.dataset import Dataset
from pipelines.data.loading import load_dataset
from pipelines.data.samples import write_digits
from pipelines.data.sources import read_table
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.registry.images import fit_image
from pipelines.spec_file import build_spec
from tests.unit.pipelines.data.albums import write_album


def data(path: Path | str, **options: object) -> dict[str, Any]:
    return {"source": "images", "path": str(path), "size": [8, 6]} | options


def read(path: Path | str, **options: object) -> Table:
    spec = build_spec({"data": data(path, **options)})
    return read_table(spec.data, spec.task, 0)


def load(path: Path | str, **options: object) -> Dataset:
    return load_dataset(build_spec({"data": data(path, **options)}))


def refusal(path: Path | str, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    return str(caught.value)


def test_each_folder_is_a_class_and_each_picture_fits(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    table = read(album)
    assert table.features.shape == (36, 3, 8, 6)
    assert table.target.tolist() == ["dusk"] * 12 + ["leaf"] * 12 + ["sand"] * 12
    first = fit_image(Image.open(album / "dusk" / "00.png"), "RGB", (8, 6))
    np.testing.assert_array_equal(table.features[0], first.transpose(2, 0, 1))
    assert (table.target_name, table.are_pictures) == ("class", True)


def test_a_dataset_of_pictures(tmp_path: Path) -> None:
    dataset = load(write_album(tmp_path / "album"))
    assert (dataset.row_shape, dataset.labels, dataset.are_pictures) == ((3, 8, 6), ("dusk", "leaf", "sand"), True)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert set(part.targets.tolist()) == {0, 1, 2}
    scaled = dataset.features.apply(dataset.train.features)
    np.testing.assert_allclose(scaled.mean(axis=(0, 2, 3)), 0, atol=1e-4)


def test_gray_is_one_channel(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    gray = read(album, color="gray").features
    assert gray.shape == (36, 1, 8, 6)
    np.testing.assert_array_equal(gray[0, 0], fit_image(Image.open(album / "dusk" / "00.png"), "L", (8, 6)))


def test_without_a_size_pictures_keep_their_own(tmp_path: Path) -> None:
    assert read(write_album(tmp_path / "same", sizes=((9, 7),)), size=None).features.shape == (36, 3, 9, 7)
    assert refusal(write_album(tmp_path / "album"), size=None) == (
        "data.size: expected [height, width] to resize to, as the pictures differ, came 2 sizes, from 6×12 to 9×7"
    )


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_archive_is_the_folder_in_it(wrapped: bool, tmp_path: Path) -> None:
    album = write_album(tmp_path / "around" / "album")
    (album / ".hidden.png").write_bytes(b"nothing of interest")
    root = tmp_path / "around" if wrapped else album
    archive = shutil.make_archive(str(tmp_path / "album"), "zip", root)
    np.testing.assert_array_equal(read(archive).features, read(album).features)
    assert read(archive).target.tolist() == read(album).target.tolist()


def test_another_file_system(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    system = fsspec.filesystem("memory")
    system.put(str(album), "/pictures", recursive=True)
    try:
        np.testing.assert_array_equal(read("memory://pictures").features, read(album).features)
    finally:
        system.rm("/pictures", recursive=True)


def with_file(folder: Path, name: str, content: bytes) -> Path:
    album = write_album(folder / "album")
    (album / name).parent.mkdir(exist_ok=True)
    (album / name).write_bytes(content)
    return album


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    album = with_file(tmp_path, "leaf/zz.png", b"not a picture at all")
    assert refusal(album) == "data.path: expected whole PNG and JPEG files, came 'leaf/zz.png', which is neither"
    whole = (album / "leaf" / "00.png").read_bytes()
    (album / "leaf" / "zz.png").write_bytes(whole[: len(whole) // 2])
    assert refusal(album).startswith("data.path: expected whole PNG and JPEG files, came 'leaf/zz.png' (")


def test_deep_colours_are_not_guessed_at(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    Image.fromarray(np.full((8, 8), 60_000, np.uint16)).save(album / "leaf" / "zz.png")
    assert refusal(album) == (
        "data.path: expected pictures of 8 bits a channel, came 'leaf/zz.png' of Pillow's mode I;16"
    )


def test_a_picture_beside_the_folders_has_no_class(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    shutil.copy(album / "leaf" / "00.png", album / "00.png")
    assert refusal(album) == (
        f"data.path: expected a folder for each class below '{album}', came '00.png' in none of them"
    )


def test_folders_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty" / "leaf").mkdir(parents=True)
    assert refusal(tmp_path / "empty") == (
        f"data.path: expected files ending in .png or .jpg or .jpeg below '{tmp_path}/empty', came none"
    )
    (tmp_path / "empty" / "leaf" / "notes.txt").write_text("none")
    archive = shutil.make_archive(str(tmp_path / "empty"), "zip", tmp_path / "empty")
    assert refusal(archive) == f"data.path: expected a folder for each class below '{archive}', came no PNG or JPEG"
    (tmp_path / "broken.zip").write_bytes(b"not an archive")
    assert refusal(tmp_path / "broken.zip").startswith(
        "data.path: expected a folder, or a zip archive, with a folder for each class, came "
    )


def test_one_class_is_none(tmp_path: Path) -> None:
    album = write_album(tmp_path / "album")
    shutil.rmtree(album / "leaf")
    shutil.rmtree(album / "sand")
    assert refusal(album) == "data.target: expected at least two classes, came only dusk in column 'class'"


def test_the_digits_become_an_album(tmp_path: Path) -> None:
    assert write_digits(tmp_path / "digits") == 1797
    table = read(tmp_path / "digits", size=None, color="gray")
    assert table.features.shape == (1797, 1, 8, 8)
    assert (table.features.min(), table.features.max()) == (0, 255)
    assert sorted(set(table.target.tolist())) == list("0123456789")
