"""How pictures stream: runs of them, to pixels on disk, which are scaled when they are taken."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pipelines.data.albums import Album
from pipelines.data.dataset import Dataset
from pipelines.data.draws import RowIds
from pipelines.data.loading import assemble
from pipelines.data.pictures import TARGET, picture_ids, picture_table, pixels_of
from pipelines.data.plans import BLOCK_BYTES, PIECE_BYTES, Encoder, Piece, Sample, Size
from pipelines.data.row_names import RowNames
from pipelines.data.table import Table
from pipelines.data.words import Words
from pipelines.spec.data import ImagesSource
from pipelines.spec.training_spec import TrainingSpec

_FILE_BYTES = 2**13
"""What opening a file costs, in bytes of pixels, so that a task has at most 4,096 pictures however small they are."""
_THREADS = 4
"""That read in a task: stores far away answer late, and Pillow lets other threads run while it unpacks."""


@dataclass(frozen=True)
class PicturePlan:
    """A `Plan` for pictures in folders, each a file of one row."""

    source: ImagesSource
    album: Album
    shape: tuple[int, int, int]
    """(channels, height, width) of a row."""
    size: Size
    block_bytes: int
    piece_bytes: int
    names: tuple[str, ...] = ()
    target_name: str = TARGET

    @classmethod
    def of(cls, source: ImagesSource, block_bytes: int = BLOCK_BYTES, piece_bytes: int = PIECE_BYTES) -> "PicturePlan":
        """List the pictures; without `data.size` the first one is opened. Raises DataError."""
        album = Album.of(source.path)
        height, width = source.size or _size_of_first(source, album)
        shape = (3 if source.color == "rgb" else 1, height, width)
        size = Size(len(album.paths), 4 * int(np.prod(shape)))
        return cls(source, album, shape, size, block_bytes, piece_bytes)

    @property
    def row_names(self) -> RowNames:
        """What messages call the pictures, by their ids."""
        return self.album.row_names

    def bare(self) -> "PicturePlan":
        """The same without the list of the pictures, which may be a million."""
        return replace(self, album=replace(self.album, paths=()))

    def pieces(self) -> list[Piece]:
        """Runs of so many pictures that their pixels are 32 MiB."""
        most = max(1, self.piece_bytes // max(_FILE_BYTES, int(np.prod(self.shape))))
        runs = enumerate(_runs(self.album.paths, most))
        return [Piece(0, first=number * most, paths=paths) for number, paths in runs]

    def read(self, piece: Piece) -> Iterator[tuple[RowIds, Table]]:
        """Blocks of pictures, each opened. Raises DataError, naming the file."""
        first, most = piece.first, max(1, self.block_bytes // self.size.row_bytes)
        with self.album.opened() as read, ThreadPoolExecutor(_THREADS) as threads:
            for paths in _runs(piece.paths, most):
                pixels = list(threads.map(partial(pixels_of, self.source, self.album, read), paths))
                ids = picture_ids(first, len(paths))
                yield ids, replace(picture_table(self.album, paths, pixels, self.shape[1:]), ids=ids)
                first += len(paths)

    def words(self, _training: Table) -> Words:
        """None."""
        return Words()

    def row_bytes(self, _sample: Table, _words: Words) -> int:
        """Of a picture as floats."""
        return self.size.row_bytes

    def dataset(self, spec: TrainingSpec, sample: Sample) -> Dataset:
        """Measure the sample. Raises DataError."""
        return assemble(spec, sample.table, sample.targets, sample.split)

    def stored_type(self, _dataset: Dataset) -> str:
        """Pixels as they are: a quarter of single floats."""
        return "|u1"

    def encoder(self, _dataset: Dataset) -> Encoder:
        """Takes the pixels back that a table has as floats."""
        return _pixels


def _pixels(rows: Table) -> NDArray[np.uint8]:
    return rows.features.astype(np.uint8)


def _size_of_first(source: ImagesSource, album: Album) -> tuple[int, ...]:
    with album.opened() as read:
        return pixels_of(source, album, read, album.paths[0]).shape[:2]


def _runs(paths: tuple[str, ...], most: int) -> Iterator[tuple[str, ...]]:
    return (paths[start : start + most] for start in range(0, len(paths), most))
