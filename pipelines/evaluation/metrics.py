"""Held-out figures of what will be served, from its own outputs."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.data.dataset import Dataset, Rows
from pipelines.evaluation.classification import classification_figures
from pipelines.evaluation.naive import naive_figures
from pipelines.evaluation.regression import regression_figures
from pipelines.registry.package import Arrays
from pipelines.registry.promotion import Score


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one part of the data, by their usual names, and the pairs behind them."""

    metrics: dict[str, float]
    truth: NDArray[np.generic]
    """(N,): class indices, or quantities in the target's units; (N, H, V) for forecasts."""
    predicted: NDArray[np.generic]
    """Shaped like `truth`."""
    probabilities: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    """(N, C) for classes, else empty."""

    @property
    def score(self) -> Score:
        """The one figure that promotion compares: accuracy, or R²."""
        metric = "accuracy" if "accuracy" in self.metrics else "r2"
        return Score(metric, self.metrics[metric])

    @property
    def is_forecast(self) -> bool:
        """Whether there are several steps ahead to look at."""
        return self.truth.ndim == 3


def evaluate(dataset: Dataset, part: Rows, outputs: Arrays) -> Evaluation:
    """Compare the served outputs for `part` with its targets; every metric is a finite number."""
    if dataset.task == "classification":
        classes, predicted = part.targets.astype(np.int64), outputs["class_index"].astype(np.int64)
        probabilities = outputs["probabilities"].astype(np.float64)
        figures = classification_figures(classes, probabilities, predicted)
        return Evaluation(figures, part.targets, predicted, probabilities)
    quantities = outputs["prediction"].reshape(part.targets.shape)
    figures = regression_figures(part.targets.astype(np.float64), quantities.astype(np.float64))
    if dataset.season is not None:
        figures |= naive_figures(part, dataset.season, figures["mae"])
    return Evaluation(figures, part.targets, quantities)
