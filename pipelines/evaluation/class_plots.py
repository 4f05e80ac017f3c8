"""Pictures of a classifier on its test rows: confusions, ranking, calibration, and how each class fares."""

from collections.abc import Iterator, Sequence

import numpy as np
import sklearn.metrics
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipelines.evaluation.calibration import BINS, calibrate
from pipelines.evaluation.classification import (
    MAX_RANKED_CLASSES,
    class_figures,
    confusion_matrix,
    ranked_classes,
)
from pipelines.evaluation.labels import MAX_NAMED_CLASSES, literal
from pipelines.evaluation.metrics import Evaluation

_MAX_CURVES = 10
"""Matplotlib's cycle has ten colours."""

_GRID = np.linspace(0, 1, 501)


def class_plots(test: Evaluation, labels: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """File names and pictures; those that need probabilities only where there are some."""
    yield "confusion_matrix.png", _confusion(test, labels)
    yield "f1_by_class.png", _f1_bars(test, labels)
    if test.probabilities.size:
        yield "reliability.png", _reliability(test)
        if "roc_auc" in test.metrics:
            yield "roc.png", _roc(test, labels)


def _confusion(test: Evaluation, labels: Sequence[str]) -> Figure:
    counts = confusion_matrix(test.truth, test.predicted, len(labels))
    side = min(14.0, 3.5 + 0.42 * len(labels))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(counts, cmap="Blues"), ax=axes, label="test rows", shrink=0.8)
    axes.set(
        xlabel="predicted", ylabel="true", title=f"Confusion matrix (test accuracy {test.metrics['accuracy']:.3f})"
    )
    if len(labels) <= MAX_NAMED_CLASSES:
        names = [literal(label) for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(labels)), names)
        for (row, column), count in np.ndenumerate(counts):
            if count:  # zeros would hide the confusions
                color = "white" if count > counts.max() / 2 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return figure


def _f1_bars(test: Evaluation, labels: Sequence[str]) -> Figure:
    figures = class_figures(test.truth, test.predicted, labels)
    shown = figures
    if len(figures) > MAX_NAMED_CLASSES:
        shown = sorted(figures, key=lambda entry: entry.f1)[:MAX_NAMED_CLASSES]
    figure = Figure(figsize=(7, 1.6 + 0.3 * len(shown)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(shown)), [entry.f1 for entry in shown])
    axes.set_yticks(range(len(shown)), [f"{literal(entry.label)} ({entry.rows})" for entry in shown])
    axes.bar_label(bars, fmt="{:.2f}", padding=3, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set_ylim(len(shown) - 0.4, -0.6)  # the first class on top
    axes.set(xlim=(0, 1.08), xlabel="F1", ylabel="class (test rows)", title="F1 by class")
    if len(shown) < len(figures):
        axes.set_title(f"F1 by class: the {len(shown)} worst of {len(figures)}")
    if "f1_macro" in test.metrics:
        mean = test.metrics["f1_macro"]
        axes.axvline(mean, color="grey", linewidth=0.8, linestyle="--", zorder=0, label=f"mean of classes {mean:.3f}")
        figure.legend(loc="outside lower right", frameon=False)
    return figure


def _reliability(test: Evaluation) -> Figure:
    bins = calibrate(test.truth, test.probabilities, test.predicted)
    centers = (np.arange(BINS) + 0.5) / BINS
    filled = bins.rows > 0
    figure = Figure(figsize=(6, 6), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    upper.bar(centers[filled], bins.accuracy[filled], width=0.9 / BINS, label="share that is right")
    upper.plot(
        bins.confidence[filled], bins.confidence[filled], "o", color="black", markersize=4, label="mean probability"
    )
    upper.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    upper.set(
        ylabel="share of rows", ylim=(0, 1.02), title=f"Reliability (expected calibration error {bins.error:.3f})"
    )
    upper.legend(loc="upper left")
    counts = lower.bar(centers[filled], bins.rows[filled], width=0.9 / BINS, color="grey")
    lower.bar_label(counts, fontsize=7)
    lower.margins(y=0.2)
    lower.set(xlabel="probability of the predicted class", ylabel="test rows", xlim=(0, 1))
    return figure


def _roc(test: Evaluation, labels: Sequence[str]) -> Figure:
    truth = test.truth.astype(np.int64)
    ranked = ranked_classes(truth, len(labels))
    figure = Figure(figsize=(6.5, 6), layout="constrained")
    axes = figure.subplots()
    if len(ranked) > 1:
        _mean_curve(axes, truth, test.probabilities, ranked)
    for number in ranked if len(ranked) <= _MAX_CURVES else []:
        hits, false_alarms = _curve(truth == number, test.probabilities[:, number])
        area = sklearn.metrics.auc(false_alarms, hits)
        axes.plot(false_alarms, hits, linewidth=1, label=f"{literal(labels[number])} ({area:.4f})")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--", label="chance (0.500)")
    axes.set(
        xlabel="false positive rate",
        ylabel="true positive rate",
        title=f"ROC (test area {test.metrics['roc_auc']:.4f})",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )
    axes.legend(loc="lower right", fontsize=8, title="class (area)" if len(labels) > 2 else "positive class (area)")
    return figure


def _mean_curve(axes: Axes, truth: NDArray[np.int64], probabilities: NDArray[np.float64], ranked: list[int]) -> None:
    curves = [_curve(truth == number, probabilities[:, number]) for number in ranked[:MAX_RANKED_CLASSES]]
    mean = np.mean([np.interp(_GRID, false_alarms, hits) for hits, false_alarms in curves], axis=0)
    axes.plot(np.r_[0, _GRID], np.r_[0, mean], color="black", linewidth=2, label=f"mean of {len(ranked)} classes")


def _curve(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True and false positive rates."""
    false_alarms, hits, _ = sklearn.metrics.roc_curve(positive, scores)
    return hits, false_alarms
