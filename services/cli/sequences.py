"""Series of different lengths from JSON, filled up to one length for a model that takes lengths besides."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.cli.errors import InputError

FEATURES, LENGTHS = "features", "lengths"
"""What such a model calls its inputs."""


def padded(rows: Sequence[object], num_features: int) -> dict[str, NDArray[Any]]:
    """Rows of steps, each a list of `num_features` numbers, as (N, T, F) and their lengths (N,). Raises InputError."""
    series = [_steps(row, number, num_features) for number, row in enumerate(rows, start=1)]
    lengths = np.array([len(each) for each in series], np.int64)
    features = np.zeros((len(series), lengths.max(), num_features), np.float32)
    for at, each in enumerate(series):
        features[at, : len(each)] = each
    return {FEATURES: features, LENGTHS: lengths}


def _steps(row: object, number: int, num_features: int) -> NDArray[np.float32]:
    expected = f"ROWS: expected a list of steps in row {number}, each a list of {num_features} finite numbers"
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as such
            steps = np.asarray(row, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{expected}, came something else among them") from error
    if steps.ndim != 2 or steps.shape[1] != num_features or not np.isfinite(steps).all():
        raise InputError(f"{expected}, came something else among them")
    return steps
