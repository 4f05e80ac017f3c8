"""Windows of a series, levelled and without gaps: what the served graph does to them, done to those of training."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Rows
from pipelines.errors import DataError


def levelled(rows: Rows, num_targets: int) -> Rows:
    """Targets, the first columns, less their value in a window's last step; past (N, T, F) and future (N, H, V).

    Source: NLinear in Zeng et al., 2023, "Are Transformers Effective for Time Series Forecasting?", section 4.
    """
    if not num_targets:
        return rows
    level, past = rows.features[:, -1:, :num_targets], rows.features.copy()
    past[..., :num_targets] -= level
    return replace(rows, features=past, targets=(rows.targets - level).astype(np.float32))


def carried_forward(values: NDArray[np.float32], names: tuple[str, ...]) -> NDArray[np.float32]:
    """(T, columns) with the last value before each gap in its place. Raises DataError for a gap in the first step."""
    for name, value in zip(names, values[0], strict=True):
        if np.isnan(value):
            raise DataError("data.missing", f"a value of column {name!r} in the first step, to carry forward", "none")
    steps = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, steps), axis=0)
    return np.take_along_axis(values, last, axis=0)
