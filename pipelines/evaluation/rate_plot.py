"""The picture of a learning-rate range test."""

from pathlib import Path

from matplotlib.figure import Figure

from pipelines.evaluation.plots import save
from pipelines.training.rate_finder import RateCurve


def draw_rate_curve(path: Path, curve: RateCurve, name: str, current: float) -> Path:
    """Write the smoothed loss against the rate as PNG, with the suggested rate and the one in use."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(curve.rates, curve.losses, color="black")
    axes.axvline(current, color="grey", linestyle=":", label=f"in the spec: {current:g}")
    if curve.suggestion is not None:
        axes.axvline(curve.suggestion, color="tab:green", label=f"suggested, the steepest fall: {curve.suggestion:g}")
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss / loss of the first weights")
    axes.set_title(f"Learning rates for {name}")
    axes.legend()
    return save(figure, path)
