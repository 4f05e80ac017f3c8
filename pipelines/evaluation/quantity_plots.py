"""Pictures of predicted quantities and forecasts on their test rows."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.evaluation.labels import literal
from pipelines.evaluation.metrics import Evaluation
from pipelines.evaluation.regression import errors_by_step

_MAX_POINTS = 20_000
"""More only make a cloud darker and a file slower to draw."""

_MAX_CURVES = 10


def quantity_plots(test: Evaluation, target: str) -> Iterator[tuple[str, Figure]]:
    """File names and pictures; `target` names what is predicted."""
    yield "predicted_vs_actual.png", _predicted_against_actual(test, literal(target))
    yield "residuals.png", _residuals(test, literal(target))
    if test.is_forecast:
        yield "forecast_error_by_step.png", _errors_by_step(test, literal(target))


def _predicted_against_actual(test: Evaluation, name: str) -> Figure:
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    low, high = float(np.min([test.truth, test.predicted])), float(np.max([test.truth, test.predicted]))
    axes.plot([low, high], [low, high], color="grey", linewidth=0.8, linestyle="--")
    every = _thinning(test)
    truth, predicted = test.truth.ravel()[::every], test.predicted.ravel()[::every]
    axes.scatter(truth, predicted, s=12, alpha=_alpha(test), linewidths=0)
    axes.set(xlabel=f"actual {name}", ylabel=f"predicted {name}", title=f"Test rows (R² {test.metrics['r2']:.3f})")
    return figure


def _residuals(test: Evaluation, name: str) -> Figure:
    residuals = test.truth.astype(np.float64).ravel() - test.predicted.astype(np.float64).ravel()
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2, 1])
    every = _thinning(test)
    left.scatter(test.predicted.ravel()[::every], residuals[::every], s=12, alpha=_alpha(test), linewidths=0)
    left.set(xlabel=f"predicted {name}", ylabel="residual (actual - predicted)")
    right.hist(residuals, bins=min(60, max(10, int(np.sqrt(len(residuals))))), orientation="horizontal")
    right.set(xlabel="values")
    for axes in (left, right):
        axes.axhline(0, color="grey", linewidth=0.8, linestyle="--")
    figure.suptitle(f"Residuals of the test rows (mean {residuals.mean():.3g}, deviation {residuals.std():.3g})")
    return figure


def _errors_by_step(test: Evaluation, name: str) -> Figure:
    errors = errors_by_step(test.truth, test.predicted)
    steps = np.arange(1, len(errors.mae) + 1)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    variables = errors.mae.shape[1]
    for number in range(min(variables, _MAX_CURVES)):
        of = f" of variable {number + 1}" if variables > 1 else ""
        (line,) = axes.plot(steps, errors.mae[:, number], marker="o", markersize=3, label=f"MAE{of}")
        color = line.get_color()
        axes.plot(steps, errors.rmse[:, number], linestyle="--", color=color, label=f"RMSE{of}")
    axes.set(xlabel="step ahead", ylabel=f"error of {name}", title="Forecast error by step (test rows)")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8)
    return figure


def _alpha(test: Evaluation) -> float:
    """Where points are many, only their crowd shows."""
    return 0.5 if test.truth.size < 2000 else 0.15


def _thinning(test: Evaluation) -> int:
    return max(1, test.truth.size // _MAX_POINTS)
