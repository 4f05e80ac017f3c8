"""The training loop: plain torch, one screen. Where it runs and who watches is nothing it knows."""

import copy
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.spec.objective import Task
from pipelines.spec.optimizer import GradientDescent
from pipelines.spec.training import EarlyStopping
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.augmentation import augmented
from pipelines.training.batches import Batches, Update
from pipelines.training.objective import Objective
from pipelines.training.optimizers import build_optimizer
from pipelines.training.tally import Measures, measure, tally
from pipelines.training.team import Team


@dataclass(frozen=True)
class Part:
    """Rows that stay on the device: scaled features (N, *row), targets (N,)."""

    features: Tensor
    targets: Tensor


@dataclass(frozen=True)
class EpochReport:
    """What one epoch came to, over all workers."""

    epoch: int
    train: Measures
    validation: Measures
    penalty: float
    learning_rate: float
    seconds: float
    rows_per_second: float
    best: bool

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by the names that a run has them under."""
        parts = {"train": self.train, "val": self.validation}
        named = {f"{part}_{name}": value for part, figures in parts.items() for name, value in figures.metrics.items()}
        losses = {f"{part}_loss": figures.loss for part, figures in parts.items()}
        return (
            named
            | losses
            | {
                "penalty": self.penalty,
                "learning_rate": self.learning_rate,
                "epoch_seconds": self.seconds,
                "rows_per_second": self.rows_per_second,
            }
        )


class BestEpoch:
    """Keeps the weights of the epoch with the lowest validation loss, and counts the epochs since."""

    def __init__(self, stopping: EarlyStopping | None) -> None:
        self._patience = stopping.patience if stopping else None
        self._min_delta = stopping.min_delta if stopping else 0.0
        self._waited = 0
        self._reference = float("inf")
        self._loss = float("inf")
        self.weights: dict[str, Tensor] = {}

    def observe(self, loss: float, network: nn.Module) -> bool:
        """Whether this epoch is the best so far; if so its weights are kept."""
        self._waited = 0 if loss < self._reference - self._min_delta else self._waited + 1
        if self._waited == 0:
            self._reference = loss
        if best := loss < self._loss:
            self._loss, self.weights = loss, copy.deepcopy(network.state_dict())
        return best

    @property
    def should_stop(self) -> bool:
        """Whether `patience` epochs brought no improvement of more than `min_delta`."""
        return self._patience is not None and self._waited >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """What to give `load_state_dict` to go on from here."""
        return {"waited": self._waited, "reference": self._reference, "loss": self._loss, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._waited, self._reference, self._loss = state["waited"], state["reference"], state["loss"]
        self.weights = state["weights"]


class Fitting:
    """All that an epoch changes, and so all that a checkpoint has to hold."""

    def __init__(self, network: nn.Module, spec: TrainingSpec) -> None:
        self.network = network
        self.optimizer = build_optimizer(spec.optimizer, network.parameters())
        self.best = BestEpoch(spec.training.early_stopping)
        self.reports: list[EpochReport] = []

    def state_dict(self) -> dict[str, Any]:
        """What to give `load_state_dict` to go on from here."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best.state_dict(),
            "reports": self.reports,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, which from now on is this fitting's own."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.load_state_dict(state["best"])
        self.reports = state["reports"]
        torch.set_rng_state(state["random"])


def fit(
    fitting: Fitting, spec: TrainingSpec, train: Part, validation: Part, target_deviation: float, team: Team
) -> Iterator[EpochReport]:
    """Train on from the last epoch that `fitting` has seen, an epoch at a time, to the end."""
    objective = Objective(spec.loss, spec.regularization)
    network, optimizer, best = fitting.network, fitting.optimizer, fitting.best
    model = team.wrap(augmented(network, spec.data))
    batches = Batches(len(train.targets), spec.training.batch_size, team.rank, team.size)
    held_out = Batches(len(validation.targets), max(spec.training.batch_size, 1024), team.rank, team.size)
    for epoch in range(len(fitting.reports) + 1, spec.training.epochs + 1):
        if best.should_stop:
            return
        started = time.perf_counter()
        full = isinstance(spec.optimizer, GradientDescent)
        updates = batches.full() if full else batches.stochastic(spec.seed, epoch)
        fitted = run_epoch(model, objective, spec.task, train, updates, team, optimizer)
        seconds = time.perf_counter() - started
        with torch.no_grad():
            checked = run_epoch(network, objective, spec.task, validation, held_out.full(), team)
            penalty = objective.penalty(network).item()
        measured = measure(spec.task, checked, target_deviation)
        fitting.reports.append(
            EpochReport(
                epoch=epoch,
                train=measure(spec.task, fitted, target_deviation),
                validation=measured,
                penalty=penalty,
                learning_rate=optimizer.param_groups[0]["lr"],
                seconds=seconds,
                rows_per_second=len(train.targets) / seconds,
                best=best.observe(measured.loss, network),
            )
        )
        yield fitting.reports[-1]


def run_epoch(
    model: nn.Module,
    objective: Objective,
    task: Task,
    part: Part,
    updates: Iterable[Update],
    team: Team,
    optimizer: torch.optim.Optimizer | None = None,
) -> Tensor:
    """Pass over a part, stepping after each update if there is an optimizer; return the sums over all workers' rows."""
    model.train(optimizer is not None)
    device = part.targets.device
    sums = torch.zeros((), dtype=torch.float64, device=device)
    for update in updates:
        for number, rows in enumerate(update.chunks, start=1):
            chunk, last = rows.to(device), number == len(update.chunks)
            with nullcontext() if last or optimizer is None else team.local(model):
                outputs, targets = model(part.features[chunk]), part.targets[chunk]
                losses = objective.per_row(outputs, targets)
                sums = sums + tally(task, outputs.detach(), targets, losses.detach())
                if optimizer is not None:
                    # The team averages over its workers; times its size, that is the sum over all rows of the update.
                    loss = losses.sum() * (team.size / update.num_rows)
                    torch.autograd.backward(loss + objective.penalty(model) if last else loss)
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad()
    return team.total(sums)
