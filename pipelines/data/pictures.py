"""Pictures in a folder for each class, as rows (channels, height, width) from 0 to 255."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipelines.data.albums import Album, ReadFile
from pipelines.data.draws import RowIds, ids_of
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.registry.images import EIGHT_BIT_MODES, FORMATS, fit_image
from pipelines.spec.data import ImagesSource

TARGET = "class"
"""What is predicted."""

MODES = {"rgb": "RGB", "gray": "L"}


def read_pictures(source: ImagesSource) -> Table:
    """All pictures, with the names of their folders as the target. Raises DataError, naming the file."""
    album = Album.of(source.path)
    with album.opened() as read, ThreadPoolExecutor() as threads:  # Pillow lets other threads run while it unpacks
        pixels = list(threads.map(partial(pixels_of, source, album, read), album.paths))
    ids = picture_ids(0, len(pixels))
    return replace(picture_table(album, album.paths, pixels), ids=ids, row_names=album.row_names)


def picture_ids(first: int, count: int) -> RowIds:
    """(N,): of so many pictures from one on: each is a file of one row."""
    return ids_of(np.arange(first, first + count), np.zeros(count, np.int64))


def pixels_of(source: ImagesSource, album: Album, read: ReadFile, path: str) -> NDArray[np.uint8]:
    """(H, W) or (H, W, 3), made to fit what the source asks for. Raises DataError, naming the file."""
    try:
        image = Image.open(BytesIO(read(path)), formats=FORMATS)
        depth = image.mode
        if depth in EIGHT_BIT_MODES:
            return fit_image(image, MODES[source.color], source.size)
    except UnidentifiedImageError as error:  # whose text names an object in memory
        raise DataError("data.path", "whole PNG and JPEG files", f"{album.name(path)}, which is neither") from error
    except Exception as error:  # Pillow's readers raise whatever they meet
        raise DataError("data.path", "whole PNG and JPEG files", f"{album.name(path)} ({error})") from error
    raise DataError("data.path", "pictures of 8 bits a channel", f"{album.name(path)} of Pillow's mode {depth}")


def picture_table(
    album: Album, paths: tuple[str, ...], pixels: Sequence[NDArray[np.uint8]], size: tuple[int, ...] | None = None
) -> Table:
    """Rows of pictures, which have one size (height, width), and that of others if it is given. Raises DataError."""
    sizes = sorted({picture.shape[:2] for picture in pixels} | ({size} if size else set()))
    if len(sizes) > 1:
        came = f"{len(sizes)} sizes, from {_by(sizes[0])} to {_by(sizes[-1])}"
        raise DataError("data.size", "[height, width] to resize to, as the pictures differ", came)
    rows = np.stack(pixels)
    rows = rows.transpose(0, 3, 1, 2) if rows.ndim == 4 else rows[:, None]
    return Table(
        features=rows.astype(np.float32),
        target=np.array(album.classes(paths)),
        feature_names=(),
        target_name=TARGET,
        class_names=(),
        origin=album.address,
        are_pictures=True,
    )


def _by(size: Sequence[int]) -> str:
    return f"{size[0]}×{size[1]}"
