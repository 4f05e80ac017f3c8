"""Held-out figures of what will be served, from its own outputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.evaluation.naive import naive_figures
from pipelines.registry.package import Arrays
from pipelines.registry.promotion import Score


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one part of the data, by their usual names, and the pairs behind them."""

    metrics: dict[str, float]
    truth: NDArray[np.generic]
    """(N,): class indices, or quantities in the target's units."""
    predicted: NDArray[np.generic]
    """(N,), like `truth`."""

    @property
    def score(self) -> Score:
        """The one figure that promotion compares: accuracy, or R²."""
        metric = "accuracy" if "accuracy" in self.metrics else "r2"
        return Score(metric, self.metrics[metric])


def evaluate(dataset: Dataset, part: Rows, outputs: Arrays) -> Evaluation:
    """Compare the served outputs for `part` with its targets.

    Classification: accuracy, and loss = -mean log p(truth). Regression: mae, rmse, and r2 = 1 - Σ(y-ŷ)² / Σ(y-ȳ)².
    """
    if dataset.task == "classification":
        return _classification(part.targets, outputs["probabilities"], outputs["class_index"])
    figures = _regression(part.targets, outputs["prediction"].reshape(part.targets.shape))
    if dataset.season is not None:
        figures.metrics.update(naive_figures(part, dataset.season, figures.metrics["mae"]))
    return figures


def confusion_matrix(truth: NDArray[np.generic], predicted: NDArray[np.generic], classes: int) -> NDArray[np.int64]:
    """Counts (C, C): row the true class, column the predicted one."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth.astype(np.int64), predicted.astype(np.int64)), 1)
    return counts


def _classification(
    truth: NDArray[np.generic], probabilities: NDArray[np.generic], predicted: NDArray[np.generic]
) -> Evaluation:
    chosen = np.take_along_axis(probabilities.astype(np.float64), truth.astype(np.int64)[:, None], axis=1)
    loss = -np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean()
    return Evaluation({"loss": float(loss), "accuracy": float((truth == predicted).mean())}, truth, predicted)


def _regression(truth: NDArray[np.generic], predicted: NDArray[np.generic]) -> Evaluation:
    actual = truth.astype(np.float64)
    errors = predicted.astype(np.float64) - actual
    spread = np.square(actual - actual.mean()).sum()
    metrics = {
        "mae": float(np.abs(errors).mean()),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "r2": float(1 - np.square(errors).sum() / spread) if spread else 0.0,
    }
    return Evaluation(metrics, truth, predicted)
