"""The rows of CSV and Parquet files block by block, so that no more than a block of them is in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.data.columns import read_columns
from pipelines.data.draws import RowIds, row_ids, uniform
from pipelines.data.files import (
    CSV_SUFFIXES,
    PARQUET_SUFFIXES,
    Files,
    csv_blocks,
    file_names,
    find_files,
    listed,
    parquet_blocks,
    read_header,
    read_schema,
    row_groups,
)
from pipelines.data.memory import Size, estimate
from pipelines.data.row_names import RowNames
from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.spec.data import CsvSource, ParquetSource, Streamable

BLOCK_BYTES = 4 * 2**20
_PIECE_BYTES = 32 * 2**20
"""Of a Parquet file, what one task reads: row groups as long as they are not more, or one that is."""

TRAIN, VALIDATION, TEST = range(3)


@dataclass(frozen=True)
class Piece:
    """Consecutive rows of one file: of CSV all of them."""

    file: int
    first: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How the files of a source are read, and which row belongs to which part."""

    source: Streamable
    seed: int
    found: Files
    names: tuple[str, ...]
    """Columns, in the order of the first file."""
    size: Size
    block_rows: int

    @classmethod
    def of(cls, source: Streamable, seed: int, block_bytes: int = BLOCK_BYTES) -> "Plan":
        """Find the files and look at their headers. Raises DataError."""
        is_csv = isinstance(source, CsvSource)
        found = find_files(source.path, CSV_SUFFIXES if is_csv else PARQUET_SUFFIXES)
        size = estimate(source)
        names = read_header(found) if is_csv else read_schema(found)
        return cls(source, seed, found, tuple(names), size, max(1, block_bytes // size.row_bytes))

    def pieces(self) -> list[Piece]:
        """All rows, in their order. Raises DataError."""
        if not isinstance(self.source, ParquetSource):
            return [Piece(file, 0) for file in range(len(self.found.paths))]
        most = max(1, _PIECE_BYTES // self.size.row_bytes)
        return [
            piece for file, rows in enumerate(row_groups(self.found)) for piece in _pieces_of_file(file, rows, most)
        ]

    def read(self, piece: Piece) -> Iterator[tuple[RowIds, Table]]:
        """Blocks of rows (N,), checked as resident ones are. Raises DataError, which counts rows within their file."""
        first = piece.first
        try:
            for frame in self._frames(piece):
                if len(frame):
                    block = frame.set_axis(pd.RangeIndex(first, first + len(frame)))
                    ids = row_ids(piece.file, first, len(frame))
                    table = read_columns(self.source, self._in_order(block, piece))
                    yield ids, replace(table, first_row=first, ids=ids)
                    first += len(frame)
        except DataError as error:
            raise DataError(error.field, error.expected, f"{error.came}{self._of_which(piece)}") from error

    def parts(self, rows: RowIds) -> NDArray[np.int64]:
        """(N,): TRAIN, VALIDATION or TEST, drawn for each row by itself."""
        shares = self.source.split
        return np.digitize(uniform(self.seed, "part", rows), [shares.train, shares.train + shares.validation])

    @property
    def row_names(self) -> RowNames:
        """What messages call the rows, by their ids."""
        return RowNames(file_names(self.found) if len(self.found.paths) > 1 else ())

    def _frames(self, piece: Piece) -> Iterator[pd.DataFrame]:
        if isinstance(self.source, CsvSource):
            return csv_blocks(self.found, self.found.paths[piece.file], self.source.categories, self.block_rows)
        return parquet_blocks(self.found, piece.file, list(piece.groups), self.block_rows)

    def _in_order(self, frame: pd.DataFrame, piece: Piece) -> pd.DataFrame:
        if set(frame.columns) != set(self.names):
            came = f"{listed(frame.columns)} in {Path(self.found.paths[piece.file]).name!r}"
            raise DataError("data.path", f"the columns {listed(self.names)} in every file", came)
        return frame[list(self.names)]

    def _of_which(self, piece: Piece) -> str:
        return f" of {file_names(self.found)[piece.file]}" if len(self.found.paths) > 1 else ""


def _pieces_of_file(file: int, groups: list[int], most: int) -> Iterator[Piece]:
    first, rows = 0, 0
    taken: list[int] = []
    for number, count in enumerate(groups):
        if taken and rows + count > most:
            yield Piece(file, first, tuple(taken))
            first, taken, rows = first + rows, [], 0
        taken.append(number)
        rows += count
    if taken:
        yield Piece(file, first, tuple(taken))
