"""The rows of CSV and Parquet files block by block, so that no more than a block of them is in memory."""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import pandas as pd

from pipelines.data.draws import RowIds, row_ids
from pipelines.data.files import (
    Files,
    csv_blocks,
    file_names,
    listed,
    parquet_blocks,
    read_header,
    read_schema,
    row_groups,
)
from pipelines.data.plans import PIECE_BYTES, Piece, Size
from pipelines.data.row_names import RowNames
from pipelines.data.table import Table
from pipelines.errors import DataError


@dataclass(frozen=True)
class Frames:
    """Files of one kind, all with the same columns."""

    found: Files
    is_parquet: bool
    names: tuple[str, ...]
    """Columns, in the order of the first file."""
    as_written: tuple[str, ...] = ()
    """Columns of CSV in which nothing is missing, and no text is a number."""
    types: Mapping[str, type] = field(default_factory=dict)
    """Of columns of CSV whose values do not tell it."""

    @classmethod
    def of(cls, found: Files, *, is_parquet: bool) -> Self:
        """Look at the header of the first file. Raises DataError."""
        return cls(found, is_parquet, tuple(read_schema(found) if is_parquet else read_header(found)))

    def pieces(self, row_bytes: int) -> list[Piece]:
        """All rows, in their order. Raises DataError."""
        if not self.is_parquet:
            return [Piece(file, 0) for file in range(len(self.found.paths))]
        most = max(1, PIECE_BYTES // row_bytes)
        return [
            piece for file, rows in enumerate(row_groups(self.found)) for piece in _pieces_of_file(file, rows, most)
        ]

    def read(
        self, piece: Piece, block_rows: int, take: Callable[[pd.DataFrame], Table]
    ) -> Iterator[tuple[RowIds, Table]]:
        """What `take` makes of each block (N,), whose index counts on within its file; its DataErrors name the file."""
        first = piece.first
        try:
            for frame in self.blocks(piece, block_rows):
                if len(frame):
                    block = frame.set_axis(pd.RangeIndex(first, first + len(frame)))
                    ids = row_ids(piece.file, first, len(frame))
                    yield ids, replace(take(self._in_order(block, piece)), first_row=first, ids=ids)
                    first += len(frame)
        except DataError as error:
            raise DataError(error.field, error.expected, f"{error.came}{self._of_which(piece)}") from error

    @property
    def row_names(self) -> RowNames:
        """What messages call the rows, by their ids."""
        return RowNames(file_names(self.found) if len(self.found.paths) > 1 else ())

    def blocks(self, piece: Piece, rows: int) -> Generator[pd.DataFrame, None, None]:
        """So many rows at a time, as they are in the file. Raises DataError."""
        if self.is_parquet:
            return parquet_blocks(self.found, piece.file, list(piece.groups), rows)
        return csv_blocks(self.found, self.found.paths[piece.file], self.as_written, rows, self.types)

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


@dataclass(frozen=True)
class FramesPlan:
    """What is the same in each `Plan` whose rows come from CSV and Parquet files."""

    frames: Frames
    size: Size
    block_rows: int

    @property
    def names(self) -> tuple[str, ...]:
        """Columns, in the order of the first file."""
        return self.frames.names

    @property
    def row_names(self) -> RowNames:
        """What messages call the rows, by their ids."""
        return self.frames.row_names

    def bare(self) -> Self:
        """The same: files are few, and large."""
        return self

    def pieces(self) -> list[Piece]:
        """All rows, in their order. Raises DataError."""
        return self.frames.pieces(self.size.row_bytes)
