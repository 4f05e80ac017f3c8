"""Which rows train, validate and test: by seed, and for classes in equal shares."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.spec.data import Split

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class SplitIndices:
    """Row numbers of each part; together they are every row once."""

    train: Indices
    validation: Indices
    test: Indices


def split_rows(num_rows: int, shares: Split, seed: int, classes: NDArray[np.int64] | None = None) -> SplitIndices:
    """Divide rows at random, class by class if `classes` (N,) is given, so that every part holds every class.

    Raises DataError if a class, or the whole, has fewer than three rows.
    """
    random = np.random.default_rng(seed)
    groups = [np.arange(num_rows)] if classes is None else [np.flatnonzero(classes == c) for c in np.unique(classes)]
    parts = [_divide(random.permutation(group), shares) for group in groups]
    train, validation, test = (np.sort(np.concatenate(part)) for part in zip(*parts, strict=True))
    return SplitIndices(train, validation, test)


def _divide(rows: Indices, shares: Split) -> tuple[Indices, Indices, Indices]:
    if len(rows) < 3:
        raise DataError("data.split", "at least three rows to divide", str(len(rows)))
    num_validation = _at_least_one(shares.validation * len(rows), len(rows) - 2)
    num_test = _at_least_one(shares.test * len(rows), len(rows) - num_validation - 1)
    return rows[num_validation + num_test :], rows[:num_validation], rows[num_validation : num_validation + num_test]


def _at_least_one(wanted: float, most: int) -> int:
    return min(max(1, round(wanted)), most)
