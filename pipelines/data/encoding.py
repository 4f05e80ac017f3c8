"""How columns of numbers and names become features: fitted on training rows, exported inside the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError

MAX_CATEGORIES = 1000
"""Each takes a feature: a column of more is hardly one of categories."""

Columns = Mapping[str, NDArray[Any]]
"""(N, 1) each, as in `Table.columns`."""


@dataclass(frozen=True)
class Quantity:
    """A column of numbers: a feature, and after it, if `marked`, one that is 1 where the value is missing."""

    name: str
    median: float | None = None
    """Of the training rows, for a missing value; None where none may be missing."""
    marked: bool = False

    @property
    def measured(self) -> tuple[bool, ...]:
        """Which of its features are quantities, to be standardised; the others are 1 or 0."""
        return (True, False) if self.marked else (True,)

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """(N, 1) float32 → (N, 1 or 2)."""
        if self.median is None:
            return np.asarray(values, np.float32)
        missing = np.isnan(values)
        filled = np.where(missing, np.float32(self.median), values)
        return np.concatenate([filled, missing], axis=1, dtype=np.float32) if self.marked else filled


@dataclass(frozen=True)
class Category:
    """A column of names: for each value of the training rows a feature that is 1 for it and else 0.

    A value that the training rows do not have has no feature: weights for it would be nobody's, never fitted.
    """

    name: str
    values: tuple[str, ...]

    @property
    def measured(self) -> tuple[bool, ...]:
        """As of a quantity: none."""
        return (False,) * len(self.values)

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """(N, 1) texts → (N, values)."""
        place = {text: position for position, text in enumerate(self.values)}
        positions = np.array([place.get(text, -1) for text in values[:, 0].tolist()], np.int64)
        return np.asarray(positions[:, None] == np.arange(len(self.values)), np.float32)


@dataclass(frozen=True)
class Encoding:
    """The columns, in the order of the model's inputs; none where features are what a client sends."""

    columns: tuple[Quantity | Category, ...] = ()

    @classmethod
    def fit(cls, train: Columns, *, impute: bool) -> Self:
        """Take categories, and for `impute` medians, from training rows. Raises DataError if a column has none."""
        return cls(tuple(_fitted(name, values, impute) for name, values in train.items()))

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(features,): which are quantities, to be standardised."""
        return np.array([flag for column in self.columns for flag in column.measured], np.bool_)

    def apply(self, columns: Columns) -> NDArray[np.float32]:
        """(N, 1) a column → (N, features)."""
        return np.concatenate([column.apply(columns[column.name]) for column in self.columns], axis=1)


def _fitted(name: str, values: NDArray[Any], impute: bool) -> Quantity | Category:
    if values.dtype.kind == "O":
        found = sorted(set(values[:, 0].tolist()))
        if len(found) > MAX_CATEGORIES:
            expected = f"at most {MAX_CATEGORIES} different values in column {name!r}"
            raise DataError("data.categories", expected, f"{len(found)} among the training rows")
        return Category(name, tuple(found))
    if not impute:
        return Quantity(name)
    missing = np.isnan(values)
    if missing.all():
        raise DataError("data.features", f"a value of column {name!r} among the training rows", "none")
    return Quantity(name, float(np.median(values[~missing])), bool(missing.any()))
