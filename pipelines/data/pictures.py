"""Pictures in a folder for each class, as rows (channels, height, width) from 0 to 255."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from zipfile import BadZipFile

import numpy as np
from fsspec.implementations.zip import ZipFileSystem
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipelines.data.draws import ids_of
from pipelines.data.files import Files, file_names, find_files, is_data
from pipelines.data.row_names import RowNames
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.registry.images import EIGHT_BIT_MODES, FORMATS, fit_image
from pipelines.spec.data import ImagesSource

SUFFIXES = (".png", ".jpg", ".jpeg")

MODES = {"rgb": "RGB", "gray": "L"}


def read_pictures(source: ImagesSource) -> Table:
    """All pictures, with the names of their folders as the target. Raises DataError, naming the file."""
    found = _unpacked(find_files(source.path, SUFFIXES))
    classes = _classes(found, source.path)
    read = partial(_pixels, found, MODES[source.color], source.size)
    with ThreadPoolExecutor() as threads:  # Pillow lets other threads run while it unpacks
        pixels = list(threads.map(read, found.paths))
    sizes = sorted({picture.shape[:2] for picture in pixels})
    if len(sizes) > 1:
        came = f"{len(sizes)} sizes, from {_by(sizes[0])} to {_by(sizes[-1])}"
        raise DataError("data.size", "[height, width] to resize to, as the pictures differ", came)
    rows = np.stack(pixels)
    rows = rows.transpose(0, 3, 1, 2) if rows.ndim == 4 else rows[:, None]
    return Table(
        features=rows.astype(np.float32),
        target=np.array(classes),
        feature_names=(),
        target_name="class",
        class_names=(),
        origin=source.path,
        are_pictures=True,
        ids=ids_of(np.arange(len(rows)), np.zeros(len(rows), np.int64)),
        row_names=RowNames(file_names(found), one_a_file=True),
    )


def _unpacked(found: Files) -> Files:
    """What is in the archive, if the address is a file."""
    if len(found.paths) != 1 or found.paths[0].lower().endswith(SUFFIXES):
        return found
    try:
        archive = ZipFileSystem(BytesIO(found.system.cat_file(found.paths[0])))
        paths = sorted(archive.find("/"))
    except (BadZipFile, OSError, ValueError) as error:
        came = f"{found.paths[0]!r} ({error})"
        raise DataError("data.path", "a folder, or a zip archive, with a folder for each class", came) from error
    shown = [path for path in paths if is_data(path, SUFFIXES)]
    tops = {path.partition("/")[0] for path in shown}
    is_wrapped = len(tops) == 1 and all(path.count("/") > 1 for path in shown)
    return Files(archive, tops.pop() if is_wrapped else "", tuple(shown))


def _classes(found: Files, address: str) -> list[str]:
    """The name of the folder below the root that each file is in."""
    root = f"{found.folder}/" if found.folder else ""
    parts = [path.removeprefix(root).split("/") for path in found.paths]
    loose = [path for path, each in zip(found.paths, parts, strict=True) if len(each) < 2]
    if loose or not parts:
        came = f"{PurePosixPath(loose[0]).name!r} in none of them" if loose else "no PNG or JPEG"
        raise DataError("data.path", f"a folder for each class below {address!r}", came)
    return [each[0] for each in parts]


def _pixels(found: Files, mode: str, size: tuple[int, int] | None, path: str) -> NDArray[np.uint8]:
    try:
        content = found.system.cat_file(path)
        image = Image.open(BytesIO(content), formats=FORMATS)
        depth = image.mode
        if depth in EIGHT_BIT_MODES:
            return fit_image(image, mode, size)
    except UnidentifiedImageError as error:  # whose text names an object in memory
        raise DataError("data.path", "whole PNG and JPEG files", f"{_name(found, path)}, which is neither") from error
    except Exception as error:  # Pillow's readers raise whatever they meet
        raise DataError("data.path", "whole PNG and JPEG files", f"{_name(found, path)} ({error})") from error
    raise DataError("data.path", "pictures of 8 bits a channel", f"{_name(found, path)} of Pillow's mode {depth}")


def _name(found: Files, path: str) -> str:
    return repr(path.removeprefix(f"{found.folder}/"))


def _by(size: Sequence[int]) -> str:
    return f"{size[0]}×{size[1]}"
