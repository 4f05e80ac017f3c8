"""Pictures of a run: loss curves, and what was predicted against what was true."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.evaluation.class_plots import class_plots
from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.quantity_plots import quantity_plots
from pipelines.training.loop import EpochReport


def draw_plots(
    folder: Path, reports: Sequence[EpochReport], test: Evaluation, labels: Sequence[str], target: str
) -> list[Path]:
    """Write the pictures of a run into `folder` as PNG and return their paths."""
    return [save(figure, folder / name) for name, figure in _figures(reports, test, labels, target)]


def save(figure: Figure, path: Path) -> Path:
    """Write a picture as PNG."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=120)
    return path


def _figures(
    reports: Sequence[EpochReport], test: Evaluation, labels: Sequence[str], target: str
) -> Iterator[tuple[str, Figure]]:
    yield "loss.png", _losses(reports)
    yield from class_plots(test, labels) if labels else quantity_plots(test, target)


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
