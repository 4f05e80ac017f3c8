"""Pictures of a run: loss curves, and what was predicted against what was true."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.evaluation.metrics import Evaluation, confusion_matrix
from pipelines.training.loop import EpochReport

_MAX_NAMED_CLASSES = 30


def draw_plots(
    folder: Path, reports: Sequence[EpochReport], test: Evaluation, labels: Sequence[str], target: str
) -> list[Path]:
    """Write the pictures of a run into `folder` as PNG and return their paths."""
    matched = _confusion(test, labels) if labels else _predicted_against_actual(test, target)
    figures = {"loss.png": _losses(reports), ("confusion_matrix.png" if labels else "predicted_vs_actual.png"): matched}
    paths = []
    for name, figure in figures.items():
        FigureCanvasAgg(figure)
        figure.savefig(folder / name, dpi=120)
        paths.append(folder / name)
    return paths


def _losses(reports: Sequence[EpochReport]) -> Figure:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = [report.epoch for report in reports]
    axes.plot(epochs, [report.train.loss for report in reports], label="training")
    axes.plot(epochs, [report.validation.loss for report in reports], label="validation")
    if any(report.penalty for report in reports):
        axes.plot(epochs, [report.penalty for report in reports], label="penalty", linestyle=":")
    best = max((report.epoch for report in reports if report.best), default=None)
    if best is not None:
        axes.axvline(best, color="grey", linewidth=0.8, label=f"best epoch ({best})")
    lowest = min((min(report.train.loss, report.validation.loss) for report in reports), default=0.0)
    axes.set(xlabel="epoch", ylabel="loss", title="Loss by epoch", yscale="log" if lowest > 0 else "linear")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return figure


def _confusion(test: Evaluation, labels: Sequence[str]) -> Figure:
    counts = confusion_matrix(test.truth, test.predicted, len(labels))
    side = min(12.0, 3.5 + 0.4 * len(labels))
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(counts, cmap="Blues"), ax=axes, label="test rows")
    axes.set(
        xlabel="predicted", ylabel="true", title=f"Confusion matrix (test accuracy {test.metrics['accuracy']:.3f})"
    )
    if len(labels) <= _MAX_NAMED_CLASSES:
        ticks = np.arange(len(labels))
        names = [_literal(label) for label in labels]
        axes.set_xticks(ticks, names, rotation=45, ha="right")
        axes.set_yticks(ticks, names)
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if count > counts.max() / 2 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
    return figure


def _predicted_against_actual(test: Evaluation, target: str) -> Figure:
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    low, high = float(np.min([test.truth, test.predicted])), float(np.max([test.truth, test.predicted]))
    axes.plot([low, high], [low, high], color="grey", linewidth=0.8)
    axes.scatter(test.truth, test.predicted, s=12, alpha=0.6)
    name = _literal(target)
    axes.set(xlabel=f"actual {name}", ylabel=f"predicted {name}", title=f"Test rows (R² {test.metrics['r2']:.3f})")
    return figure


def _literal(text: str) -> str:
    """Keep Matplotlib from reading a name with dollar signs as a formula."""
    return text.replace("$", r"\$")
