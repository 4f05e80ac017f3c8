"""Figures of a classifier on held-out rows. What has no meaning for a part is left out; none is ever NaN."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sklearn.metrics
from numpy.typing import NDArray

from pipelines.evaluation.calibration import calibrate

MAX_RANKED_CLASSES = 1000
"""One ranking of all rows a class: with more classes the area under the ROC curve would take minutes."""


@dataclass(frozen=True)
class ClassFigures:
    """How one class is told from the others; `rows` of the part are of it."""

    label: str
    precision: float
    recall: float
    f1: float
    rows: int


def classification_figures(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], predicted: NDArray[np.int64]
) -> dict[str, float]:
    """Figures of classes (N,), probabilities (N, C) and predicted classes (N,), by their usual names.

    log_loss = -mean log p(truth), also as `loss`, which is what the epochs' curves call it. f1_macro is the mean over
    the classes that occur, as true or as predicted ones. ece has `calibration.BINS` bins. For roc_auc see there.
    """
    chosen = np.take_along_axis(probabilities, truth[:, None], axis=1)
    log_loss = float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())
    area = roc_auc(truth, probabilities)
    return {
        "loss": log_loss,
        "log_loss": log_loss,
        "accuracy": float((truth == predicted).mean()),
        "f1_macro": float(sklearn.metrics.f1_score(truth, predicted, average="macro", zero_division=0)),
        "ece": calibrate(truth, probabilities, predicted).error,
    } | ({} if area is None else {"roc_auc": area})


def roc_auc(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve: of the second of two classes; of more, each against the rest, averaged.

    A class that no row has, or every row, cannot be ranked and is left out; None where that leaves none.
    """
    ranked = ranked_classes(truth, probabilities.shape[1])
    if not ranked or len(ranked) > MAX_RANKED_CLASSES:
        return None
    return float(np.mean([sklearn.metrics.roc_auc_score(truth == c, probabilities[:, c]) for c in ranked]))


def ranked_classes(truth: NDArray[np.int64], num_classes: int) -> list[int]:
    """The classes that have a ROC curve among the rows `truth` (N,)."""
    present = np.unique(truth)
    if len(present) < 2:
        return []
    return [1] if num_classes == 2 else present.tolist()


def class_figures(
    truth: NDArray[np.generic], predicted: NDArray[np.generic], labels: Sequence[str]
) -> list[ClassFigures]:
    """Precision, recall and F1 of every class; 0 where a class never occurs or is never predicted."""
    precision, recall, f1, rows = sklearn.metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(len(labels)), zero_division=0
    )
    columns = zip(labels, precision, recall, f1, rows, strict=True)
    return [ClassFigures(label, float(p), float(r), float(f), int(n)) for label, p, r, f, n in columns]


def confusion_matrix(truth: NDArray[np.generic], predicted: NDArray[np.generic], classes: int) -> NDArray[np.int64]:
    """Counts (C, C): row the true class, column the predicted one."""
    counts = sklearn.metrics.confusion_matrix(truth, predicted, labels=range(classes))
    return np.asarray(counts, np.int64)
