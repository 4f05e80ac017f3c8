"""Sums over rows from which an epoch's figures follow, so that workers can be added up without weighting errors."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipelines.spec.objective import Task

_ROUNDING = 1e-12
"""Share of Σy² below which the difference of two such sums in float64 is no more than their rounding."""


@dataclass(frozen=True)
class Measures:
    """Figures of one pass over one part of the data; `loss` is the data term without penalties."""

    loss: float
    metrics: dict[str, float] = field(default_factory=dict)
    """accuracy, or mae and rmse (in the target's units) and r2."""


def tally(task: Task, outputs: Tensor, targets: Tensor, losses: Tensor) -> Tensor:
    """Sums over the rows of a batch, in float64: outputs (B, C) and targets (B,), losses (B,) → (S,).

    Forecasts (B, *) have as many targets; a row counts with the mean over its values.
    """
    rows = torch.full_like(losses, 1, dtype=torch.float64)
    if task == "classification":
        columns = [rows, losses, outputs.argmax(dim=1) == targets]
    else:
        wanted = targets.view_as(outputs).flatten(1).double()  # of squares in float32 too little would be left below
        errors = outputs.flatten(1) - wanted
        each = (errors.abs(), errors.square(), wanted, wanted.square())
        columns = [rows, losses, *(value.mean(dim=1) for value in each)]
    return torch.stack([column.double() for column in columns]).sum(dim=1)


def measure(task: Task, sums: Tensor, target_deviation: float) -> Measures:
    """Figures from sums over all rows; `target_deviation` turns scaled errors back into the target's units.

    R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)², which no scaling changes; 0 where the target does not vary.
    """
    rows, loss, *rest = sums.tolist()
    if task == "classification":
        return Measures(loss / rows, {"accuracy": rest[0] / rows})
    absolute, squared, target, target_squared = rest
    spread = target_squared - target**2 / rows
    varies = spread > _ROUNDING * target_squared
    figures = {
        "mae": absolute / rows * target_deviation,
        "rmse": (squared / rows) ** 0.5 * target_deviation,
        "r2": 1 - squared / spread if varies else 0.0,
    }
    return Measures(loss / rows, figures)
