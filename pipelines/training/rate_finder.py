"""Learning-rate range test (Smith, 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3).

The rate grows exponentially from update to update until the loss does; where the loss fell fastest is a good rate.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.spec.optimizer import GradientDescent
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.batches import Batches, Update
from pipelines.training.objective import Objective
from pipelines.training.optimizers import build_optimizer

LOWEST, HIGHEST = 1e-6, 10.0
_UPDATES = 200
_SMOOTHING = 0.95
"""Of the running mean of the losses: it looks back about twenty batches."""
_GROWN = 4.0
"""The test ends where the smoothed loss is so many times its lowest value: from there on it only grows."""
_SETTLING = 10
"""Updates at either end whose smoothed loss tells little: few losses are in it, or it turns already."""


@dataclass(frozen=True)
class RateCurve:
    """Learning rates that grow, and the smoothed loss at each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss fell fastest against the logarithm of the rate, to two digits; None if never."""
        lowest = int(np.argmin(self.losses))
        if lowest <= _SETTLING:
            return None
        slopes = np.gradient(self.losses, np.log10(self.rates))[_SETTLING:lowest]
        steepest = int(np.argmin(slopes))
        return float(f"{self.rates[_SETTLING + steepest]:.2g}") if slopes[steepest] < 0 else None


def find_rate(network: nn.Module, spec: TrainingSpec, features: Tensor, targets: Tensor) -> RateCurve:
    """Run the test on a network with its first weights, which it spoils: features (N, *row), targets (N,).

    The spec's own learning rate plays no part.
    """
    objective = Objective(spec.loss, spec.regularization)
    optimizer = build_optimizer(spec.optimizer, network.parameters())
    network.train()
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for number, update in enumerate(islice(_updates(spec, len(targets)), _UPDATES), start=1):
        rate = LOWEST * (HIGHEST / LOWEST) ** ((number - 1) / (_UPDATES - 1))
        for group in optimizer.param_groups:
            group["lr"] = rate
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * _step(network, objective, optimizer, features, targets, update)
        smoothed = mean / (1 - _SMOOTHING**number)
        if not math.isfinite(smoothed) or smoothed > _GROWN * min(losses, default=math.inf):
            break
        rates.append(rate)
        losses.append(smoothed)
    return RateCurve(tuple(rates), tuple(losses))


def _step(
    network: nn.Module,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    features: Tensor,
    targets: Tensor,
    update: Update,
) -> float:
    """The mean loss of the rows of an update, before it."""
    optimizer.zero_grad()
    total = 0.0
    for number, chunk in enumerate(update.chunks, start=1):
        rows = chunk.to(targets.device)
        loss = objective.per_row(network(features[rows]), targets[rows]).sum() / update.num_rows
        last = number == len(update.chunks)
        torch.autograd.backward(loss + objective.penalty(network) if last else loss)
        total += loss.item()
    optimizer.step()
    return total


def _updates(spec: TrainingSpec, num_rows: int) -> Iterator[Update]:
    """As in training, epoch after epoch without end."""
    batches = Batches(num_rows, spec.training.batch_size, rank=0, size=1)
    full = isinstance(spec.optimizer, GradientDescent)
    for epoch in count(1):
        yield from batches.full() if full else batches.stochastic(spec.seed, epoch)
