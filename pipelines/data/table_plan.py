"""How tables stream: CSV and Parquet files in blocks, to scaled numbers on disk."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.blocks import Frames, FramesPlan
from pipelines.data.columns import read_columns
from pipelines.data.dataset import Dataset
from pipelines.data.draws import RowIds
from pipelines.data.extents import csv_extent
from pipelines.data.files import CSV_SUFFIXES, PARQUET_SUFFIXES, find_files, row_groups
from pipelines.data.loading import assemble, fit_encoding, shaped
from pipelines.data.plans import BLOCK_BYTES, Encoder, Piece, Sample, Size
from pipelines.data.table import Table
from pipelines.data.words import Words
from pipelines.spec.data import CsvSource, ParquetSource
from pipelines.spec.training_spec import TrainingSpec

_CATEGORY_BYTES = 64
"""Of a text as a Python object."""


@dataclass(frozen=True)
class TablePlan(FramesPlan):
    """A `Plan` for columns of numbers and names."""

    source: CsvSource | ParquetSource

    @classmethod
    def of(cls, source: CsvSource | ParquetSource, block_bytes: int = BLOCK_BYTES) -> "TablePlan":
        """Find the files and look at their headers, or 8 MiB of one. Raises DataError."""
        is_parquet = isinstance(source, ParquetSource)
        found = find_files(source.path, PARQUET_SUFFIXES if is_parquet else CSV_SUFFIXES)
        frames = replace(Frames.of(found, is_parquet=is_parquet), as_written=source.categories)
        rows = sum(map(sum, row_groups(found))) if is_parquet else csv_extent(found).num_lines
        columns = len(source.features) if source.features else max(1, len(frames.names) - 1)
        numbers = columns - len(source.categories)
        size = Size(rows, max(4, 4 * numbers + _CATEGORY_BYTES * len(source.categories)))
        return cls(frames, size, max(1, block_bytes // size.row_bytes), source)

    @property
    def target_name(self) -> str:
        """The column that is predicted."""
        return self.source.target

    def read(self, piece: Piece) -> Iterator[tuple[RowIds, Table]]:
        """Blocks of rows (N,), checked as resident ones are. Raises DataError, which counts rows within their file."""
        return self.frames.read(piece, self.block_rows, partial(read_columns, self.source))

    def words(self, _training: Table) -> Words:
        """None."""
        return Words()

    def row_bytes(self, sample: Table, _words: Words) -> int:
        """Of the features: a category may become a thousand of them. Raises DataError."""
        encoding = fit_encoding(self.source, sample, np.arange(len(sample.target)))
        return 4 * len(encoding.measured) if encoding.columns else 4 * sample.features.shape[1]

    def dataset(self, spec: TrainingSpec, sample: Sample) -> Dataset:
        """Encode and measure the sample. Raises DataError."""
        return assemble(spec, sample.table, sample.targets, sample.split)

    def stored_type(self, _dataset: Dataset) -> str:
        """Single floats."""
        return "<f4"

    def encoder(self, dataset: Dataset) -> Encoder:
        """Encodes and scales, so that no epoch has to."""
        return partial(_scaled, dataset, self.source.shape)


def _scaled(dataset: Dataset, shape: tuple[int, ...] | None, rows: Table) -> NDArray[Any]:
    encoding = dataset.encoding
    features = encoding.apply(rows.columns) if encoding.columns else shaped(rows.features, shape)
    return dataset.features.apply(features)
