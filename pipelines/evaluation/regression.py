"""Figures of predicted quantities and forecasts on held-out rows, in the target's own units."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StepErrors:
    """Errors of a forecast by how far it looks ahead: (H, V), step by variable."""

    mae: NDArray[np.float64]
    rmse: NDArray[np.float64]


def regression_figures(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Figures of quantities (N,) or forecasts (N, H, V), by their usual names.

    mae and rmse are over all values. r2 = 1 - Σ(y-ŷ)² / Σ(y-ȳ)², of each variable, averaged; 0 for one that does not
    vary. residual_mean is the mean of y - ŷ: above 0 the model predicts too little.
    """
    residuals = truth - predicted
    return {
        "mae": float(np.abs(residuals).mean()),
        "rmse": float(np.sqrt(np.square(residuals).mean())),
        "r2": _explained(truth, residuals),
        "residual_mean": float(residuals.mean()),
    }


def errors_by_step(truth: NDArray[np.generic], predicted: NDArray[np.generic]) -> StepErrors:
    """Errors of forecasts (N, H, V), averaged over the rows."""
    residuals = truth.astype(np.float64) - predicted.astype(np.float64)
    return StepErrors(np.abs(residuals).mean(axis=0), np.sqrt(np.square(residuals).mean(axis=0)))


def _explained(truth: NDArray[np.float64], residuals: NDArray[np.float64]) -> float:
    variables = truth.shape[2] if truth.ndim == 3 else 1
    actual, missed = truth.reshape(-1, variables), residuals.reshape(-1, variables)
    varies = actual.max(axis=0) > actual.min(axis=0)  # exact, where a sum of squares would leave a rounding error
    spread = np.where(varies, np.square(actual - actual.mean(axis=0)).sum(axis=0), 1)
    return float(np.where(varies, 1 - np.square(missed).sum(axis=0) / spread, 0).mean())
