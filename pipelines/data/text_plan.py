"""How texts stream: CSV and Parquet files in blocks, to token indices on disk. All training rows give the words."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from sys import getsizeof

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipelines.data.blocks import Frames, FramesPlan
from pipelines.data.dataset import Dataset
from pipelines.data.draws import RowIds
from pipelines.data.extents import csv_extent
from pipelines.data.files import are_parquet, find_files, row_groups
from pipelines.data.plans import BLOCK_BYTES, Encoder, Piece, Sample, Size
from pipelines.data.table import Table
from pipelines.data.texts import TEXT_SUFFIXES, assemble_texts, check_names, read_texts
from pipelines.data.words import Words
from pipelines.errors import DataError
from pipelines.registry.texts import Tokenizer, most_frequent, num_tokens
from pipelines.spec.data import TextSource
from pipelines.spec.training_spec import TrainingSpec

_SAMPLE_ROWS = 1000
"""That tell how long texts are."""
_TOKEN_BYTES = 8


@dataclass(frozen=True)
class TextPlan(FramesPlan):
    """A `Plan` for a column of texts."""

    source: TextSource

    @classmethod
    def of(cls, source: TextSource, block_bytes: int = BLOCK_BYTES) -> "TextPlan":
        """Find the files and look at the first rows. Raises DataError."""
        found = find_files(source.path, TEXT_SUFFIXES)
        frames = Frames.of(found, is_parquet=are_parquet(found))
        check_names(source, frames.names)
        frames = replace(frames, types={source.text: str})
        size = _size(source, frames)
        return cls(frames, size, max(1, block_bytes // size.row_bytes), source)

    @property
    def target_name(self) -> str:
        """The column that is predicted."""
        return self.source.target

    def read(self, piece: Piece) -> Iterator[tuple[RowIds, Table]]:
        """Blocks of rows (N,), checked as resident ones are. Raises DataError, which counts rows within their file."""
        return self.frames.read(piece, self.block_rows, partial(read_texts, self.source))

    def words(self, training: Table) -> Words:
        """Those of training rows, and how many tokens they have."""
        return Words.of(_texts_of(self.source, training), self.source)

    def row_bytes(self, sample: Table, words: Words) -> int:
        """Of a text's tokens, and of the text."""
        texts = _texts_of(self.source, sample)
        return _TOKEN_BYTES * words.longest + sum(map(getsizeof, texts)) // max(1, len(texts))

    def dataset(self, spec: TrainingSpec, sample: Sample) -> Dataset:
        """Index the sample's texts with the words of all training rows. Raises DataError."""
        training = _texts_of(self.source, sample.table.take(sample.split.train))
        if all(map(_is_number, training)):
            came = f"numbers alone, such as {training[0]}"
            raise DataError("data.text", f"texts in column {self.source.text!r}", came)
        kept = most_frequent(sample.words.counts, self.source.vocabulary)
        given = sample.table, sample.targets, sample.split
        return assemble_texts(self.source, spec, *given, kept, sample.words.longest)

    def stored_type(self, dataset: Dataset) -> str:
        """The smallest that holds every token index."""
        assert dataset.text is not None
        return np.min_scalar_type(num_tokens(dataset.text) - 1).str

    def encoder(self, dataset: Dataset) -> Encoder:
        """Tokens of the dataset's vocabulary, filled up to the longest training text."""
        assert dataset.text is not None
        (steps,) = dataset.row_shape
        return partial(_tokens, self.source, Tokenizer(dataset.text), steps, self.stored_type(dataset))


def _tokens(source: TextSource, tokenizer: Tokenizer, steps: int, stored: str, rows: Table) -> NDArray[np.generic]:
    return tokenizer.tokens(_texts_of(source, rows), steps).astype(np.dtype(stored))


def _texts_of(source: TextSource, rows: Table) -> list[str]:
    return list(rows.columns[source.text][:, 0])


def _size(source: TextSource, frames: Frames) -> Size:
    frame = _first_rows(frames)
    texts = [value for value in frame[source.text].astype(object) if isinstance(value, str)]
    longest = max(1, Words.of(texts, source).longest)
    row_bytes = _TOKEN_BYTES * longest + sum(map(getsizeof, texts)) // max(1, len(texts))
    if frames.is_parquet:
        return Size(sum(map(sum, row_groups(frames.found))), row_bytes)
    if len(frame) < _SAMPLE_ROWS and len(frames.found.paths) == 1:
        return Size(len(frame), row_bytes)
    written = len(frame.to_csv(index=False).encode())
    return Size(csv_extent(frames.found).total_bytes * len(frame) // max(1, written), row_bytes)


def _first_rows(frames: Frames) -> pd.DataFrame:
    nothing = pd.DataFrame(columns=list(frames.names))
    pieces = frames.pieces(1)
    if not pieces:
        return nothing
    with closing(frames.blocks(pieces[0], _SAMPLE_ROWS)) as blocks:
        return next(blocks, nothing)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
