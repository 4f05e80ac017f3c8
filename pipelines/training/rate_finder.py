"""Learning-rate range test (Smith, 2015, "Cyclical Learning Rates for Training Neural Networks", section 3.3).

The rate grows exponentially from update to update until the loss does; where the loss fell fastest is a good rate.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from torch import nn

from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.batches import Batches, Update
from pipelines.training.objective import Objective
from pipelines.training.optimizers import build_optimizer, clip
from pipelines.training.slabs import Part

LOWEST, HIGHEST = 1e-6, 10.0
_UPDATES = 200
_SMOOTHING = 0.9
"""Of the running means of the losses: they look back about ten batches."""
_GROWN = 4.0
"""The test ends where the loss is so many times its lowest value: from there on it only grows."""
_SETTLING = 10
"""The first updates, whose smoothed loss tells little as few losses are in it."""


@dataclass(frozen=True)
class RateCurve:
    """Learning rates that grow, and the smoothed loss at each, as a share of what the first weights have."""

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


def find_rate(network: nn.Module, spec: TrainingSpec, objective: Objective, train: Part) -> RateCurve:
    """Run the test on a network with its first weights, which it spoils; the spec's own rate plays no part."""
    first, optimizer = copy.deepcopy(network), build_optimizer(spec.optimizer, network.parameters())
    network.train()
    rates: list[float] = []
    losses: list[float] = []
    means = np.zeros(2)
    for rate, update in zip(np.geomspace(LOWEST, HIGHEST, _UPDATES), _updates(spec, len(train.targets)), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        optimizer.zero_grad()
        loss = _differentiated(network, objective, train, update)
        clip(spec.optimizer, network)
        optimizer.step()
        # Some batches are harder than others: beside what the first weights make of the same one, that does not matter.
        means = _SMOOTHING * means + (1 - _SMOOTHING) * np.array([loss, _loss(first, objective, train, update)])
        smoothed = float(means[0] / means[1]) if means[1] else math.nan
        if not math.isfinite(smoothed) or smoothed > _GROWN * min(losses, default=math.inf):
            break
        rates.append(float(rate))
        losses.append(smoothed)
    return RateCurve(tuple(rates), tuple(losses))


def _differentiated(network: nn.Module, objective: Objective, train: Part, update: Update) -> float:
    """The mean loss of the rows of an update; adds up the objective's gradient."""
    total = 0.0
    for number, rows in enumerate(update.chunks, start=1):
        loss = objective.per_row(network(*train.inputs(rows)), train.targets[rows]).sum() / update.num_rows
        last = number == len(update.chunks)
        torch.autograd.backward(loss + objective.penalty(network) if last else loss)
        total += loss.item()
    return total


@torch.no_grad()
def _loss(network: nn.Module, objective: Objective, train: Part, update: Update) -> float:
    losses = [objective.per_row(network(*train.inputs(rows)), train.targets[rows]).sum() for rows in update.chunks]
    return float(torch.stack(losses).sum() / update.num_rows)


def _updates(spec: TrainingSpec, num_rows: int) -> Iterator[Update]:
    """As in training, epoch after epoch without end."""
    batches = Batches(num_rows, spec.training.batch_size, rank=0, size=1)
    for epoch in count(1):
        yield from batches.of_epoch(spec, epoch)
