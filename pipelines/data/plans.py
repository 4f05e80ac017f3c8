"""What streaming asks of a kind of source: its rows in pieces, and what training rows become on disk."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset
from pipelines.data.draws import RowIds, uniform
from pipelines.data.row_names import RowNames
from pipelines.data.splits import SplitIndices
from pipelines.data.table import Table
from pipelines.data.targets import Targets
from pipelines.data.words import Words
from pipelines.spec.data import Split
from pipelines.spec.training_spec import TrainingSpec

BLOCK_BYTES = 4 * 2**20
PIECE_BYTES = 32 * 2**20
"""What one task reads: so much, or what cannot be divided further."""

TRAIN, VALIDATION, TEST = range(3)

Encoder = Callable[[Table], NDArray[np.generic]]
"""From a block's rows to what shards hold of them, (N, *row)."""


@dataclass(frozen=True)
class Size:
    """What a source's rows come to, as far as it shows before they are read."""

    rows: int
    row_bytes: int
    """In memory, as a resident job has them: 4 a number, 64 a category, 4 a value of a picture; of a text itself and 8
    for each token of the longest."""

    @property
    def total_bytes(self) -> int:
        """Of all rows, once."""
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class Piece:
    """Consecutive rows that one task reads: of a CSV file all, of Parquet row groups, or a run of pictures."""

    file: int
    first: int
    groups: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    """Of pictures, each a row."""


@dataclass(frozen=True)
class Sample:
    """What a scan keeps of all rows."""

    table: Table
    targets: Targets
    split: SplitIndices
    words: Words
    """Of all training rows, not only of these."""


class Plan(Protocol):
    """How the files of a source are read. Tasks of Ray Data get it, `bare`, with every piece."""

    @property
    def size(self) -> Size:
        """Of all rows, estimated where files do not say it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in the order of the first file; empty where there are none."""

    @property
    def target_name(self) -> str:
        """What is predicted."""

    @property
    def row_names(self) -> RowNames:
        """What messages call rows, by their ids."""

    def bare(self) -> "Plan":
        """The same without the list of all files, which pieces bring along."""

    def pieces(self) -> list[Piece]:
        """All rows, in their order. Raises DataError."""

    def read(self, piece: Piece, /) -> Iterator[tuple[RowIds, Table]]:
        """Blocks of rows (N,), checked as resident ones are. Raises DataError."""

    def words(self, training: Table, /) -> Words:
        """Those of training rows; none where rows are no texts."""

    def row_bytes(self, sample: Table, words: Words, /) -> int:
        """Of a row of features in memory, as it shows after the scan."""

    def dataset(self, spec: TrainingSpec, sample: Sample, /) -> Dataset:
        """Encode and measure the sample, as resident rows are. Raises DataError."""

    def stored_type(self, dataset: Dataset, /) -> str:
        """Of a value in shards, in numpy's notation."""

    def encoder(self, dataset: Dataset, /) -> Encoder:
        """What makes rows for shards, of `stored_type`: scaled numbers, pixels or token indices."""


def parts_of(rows: RowIds, shares: Split, seed: int) -> NDArray[np.int64]:
    """(N,): TRAIN, VALIDATION or TEST, drawn for each row by itself."""
    return np.digitize(uniform(seed, "part", rows), [shares.train, shares.train + shares.validation])
