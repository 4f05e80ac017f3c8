"""What is predicted, as the network sees it: class indices with their labels, or quantities."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.data.table import Table
from pipelines.errors import DataError
from pipelines.spec.objective import Task

MIN_ROWS_A_CLASS = 3
"""One for each part of the split."""

MAX_WHOLE_NUMBER = 2.0**53
"""Up to here a float tells every whole number from its neighbours."""


@dataclass(frozen=True)
class Targets:
    """`values` (N,): int64 class indices into `labels`, or float32 quantities with no labels."""

    values: NDArray[np.int64] | NDArray[np.float32]
    labels: tuple[str, ...]


def encode_target(table: Table, task: Task) -> Targets:
    """Turn the target column into class indices or quantities. Raises DataError if it is neither."""
    return _classes(table) if task == "classification" else _quantities(table)


def _classes(table: Table) -> Targets:
    values, indices, counts = distinct_classes(table)
    check_classes(values.tolist(), counts.tolist(), table.target_name)
    named = len(table.class_names) == len(values)
    labels = table.class_names if named else tuple(str(value) for value in values)
    return Targets(indices, labels)


def distinct_classes(table: Table) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """The different targets in order, which of them each row (N,) has, and how many rows each. Raises DataError."""
    target = table.target
    if target.dtype.kind == "f":
        broken = np.flatnonzero((target != np.floor(target)) | (np.abs(target) > MAX_WHOLE_NUMBER))
        if broken.size:
            place = f"row {table.first_row + broken[0] + 1}"
            came = f"the quantity {target[broken[0]]:g} in {place} (loss.name mse fits quantities)"
            raise DataError("data.target", f"classes in column {table.target_name!r}: texts or whole numbers", came)
        target = target.astype(np.int64)
    values, indices, counts = np.unique(_as_sortable(target), return_inverse=True, return_counts=True)
    return values, indices.astype(np.int64), counts


def check_classes(values: Sequence[object], counts: Sequence[int], target_name: str) -> None:
    """Raise DataError for fewer than two classes, or for one with too few rows."""
    if len(values) < 2:
        raise DataError("data.target", "at least two classes", f"only {values[0]!s} in column {target_name!r}")
    for value, count in zip(values, counts, strict=True):
        if count < MIN_ROWS_A_CLASS:
            came = f"class {str(value)!r} with {count} {'row' if count == 1 else 'rows'}"
            expected = f"at least {MIN_ROWS_A_CLASS} rows of each class, one for each part of the split"
            raise DataError("data.target", expected, came)


def _as_sortable(target: NDArray[Any]) -> NDArray[Any]:
    return target.astype(str) if target.dtype.kind == "O" else target


def _quantities(table: Table) -> Targets:
    if table.target.dtype.kind not in "iuf":
        came = f"{str(table.target[0])!r} (loss.name cross_entropy fits classes)"
        raise DataError("data.target", f"numbers in column {table.target_name!r}", came)
    with np.errstate(over="ignore"):  # what float32 cannot hold turns infinite, and is refused as such
        values = table.target.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError("data.target", f"finite numbers in column {table.target_name!r}", "an infinite one")
    return Targets(values, ())
