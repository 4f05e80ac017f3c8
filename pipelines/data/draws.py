"""Random numbers that belong to a row: the same in whatever order and blocks rows are read, and in every process."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RowIds = NDArray[np.uint64]
"""(N,): which file a row is from, and its place there."""

_PLACE_BITS = 40
"""Rows of one file that can be told apart: 10^12."""

_PURPOSES = {"part": 1, "sample": 2, "shard": 3}


def row_ids(file: int, first: int, count: int) -> RowIds:
    """Of so many rows of a file, from its row `first` (from 0) on."""
    return np.uint64(file << _PLACE_BITS) + np.arange(first, first + count, dtype=np.uint64)


def ids_of(files: NDArray[np.integer[Any]], places: NDArray[np.integer[Any]]) -> RowIds:
    """Of rows (N,) of files and their places there, both from 0."""
    return (files.astype(np.uint64) << np.uint64(_PLACE_BITS)) + places.astype(np.uint64)


def files_of(rows: RowIds) -> NDArray[np.int64]:
    """(N,): the number of each row's file."""
    return (rows >> np.uint64(_PLACE_BITS)).astype(np.int64)


def places_of(rows: RowIds) -> NDArray[np.int64]:
    """(N,): each row's place in its file, from 0."""
    return (rows & np.uint64(2**_PLACE_BITS - 1)).astype(np.int64)


def uniform(seed: int, purpose: Literal["part", "sample", "shard"], rows: RowIds) -> NDArray[np.float64]:
    """(N,), at least 0 and below 1; different purposes draw independently.

    The mixing of SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").
    """
    with np.errstate(over="ignore"):
        key = _mixed(_mixed(np.array([seed], np.uint64)) + np.uint64(_PURPOSES[purpose]))
        bits = _mixed(_mixed(rows) ^ key) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def _mixed(state: RowIds) -> RowIds:
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: RowIds = z ^ (z >> np.uint64(31))
    return mixed
