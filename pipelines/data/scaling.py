"""Standardisation: fitted on training rows only, applied to all, and exported inside the model."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scaling:
    """z = (x - mean) / deviation, in float32; both broadcast against a row."""

    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @classmethod
    def fit(cls, rows: NDArray[Any]) -> Self:
        """Measure training rows (N, *row): each feature apart, over time for (time, features), over pixels for images.

        A feature that never varies keeps its values, shifted to 0.
        """
        feature_axis = {2: 1, 3: 2, 4: 1}[rows.ndim]
        axes = tuple(axis for axis in range(rows.ndim) if axis != feature_axis)
        mean = rows.mean(axis=axes, dtype=np.float64, keepdims=True)[0]
        deviation = rows.std(axis=axes, dtype=np.float64, keepdims=True)[0]
        deviation[deviation <= 1e-12 * np.abs(mean)] = 1
        if rows.ndim == 3:  # the time axis stays open: sequences of any length are served
            mean, deviation = mean[0], deviation[0]
        return cls(mean.astype(np.float32), deviation.astype(np.float32))

    @classmethod
    def identity(cls) -> Self:
        """Leaves rows as they are."""
        return cls(np.zeros(1, np.float32), np.ones(1, np.float32))

    def only(self, measured: NDArray[np.bool_]) -> Self:
        """The same, but for features (features,) that are not `measured`: those stay as they are."""
        mean, deviation = np.where(measured, self.mean, 0), np.where(measured, self.deviation, 1)
        return type(self)(mean.astype(np.float32), deviation.astype(np.float32))

    def apply(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Scale rows (N, *row); token indices are no quantities, and stay as they are."""
        if rows.dtype.kind in "iu":
            return rows
        return (rows - self.mean) / self.deviation
