"""Whether a classifier is right as often as it says it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of equal width over (0, 1], as in Guo et al. (2017), so that figures compare with published ones."""


@dataclass(frozen=True)
class Calibration:
    """Rows by the probability of their predicted class; an empty bin has zeros."""

    confidence: NDArray[np.float64]
    """(B,): mean probability of the predicted class in each bin."""
    accuracy: NDArray[np.float64]
    """(B,): share of the bin's rows whose predicted class is the true one."""
    rows: NDArray[np.int64]
    """(B,): how many rows fall into each bin."""

    @property
    def error(self) -> float:
        """Expected calibration error: Σ rows/N · |accuracy - confidence| (Naeini et al., 2015)."""
        return float((self.rows / self.rows.sum() * np.abs(self.accuracy - self.confidence)).sum())


def calibrate(
    truth: NDArray[np.generic], probabilities: NDArray[np.generic], predicted: NDArray[np.generic]
) -> Calibration:
    """Sort N rows into `BINS` bins: classes (N,), probabilities (N, C), predicted classes (N,)."""
    chosen = np.take_along_axis(probabilities.astype(np.float64), predicted.astype(np.int64)[:, None], axis=1)[:, 0]
    bins = np.clip(np.ceil(chosen * BINS).astype(np.int64) - 1, 0, BINS - 1)
    rows = np.bincount(bins, minlength=BINS)
    divisor = np.maximum(rows, 1)
    return Calibration(
        confidence=np.bincount(bins, weights=chosen, minlength=BINS) / divisor,
        accuracy=np.bincount(bins, weights=truth == predicted, minlength=BINS) / divisor,
        rows=rows,
    )
