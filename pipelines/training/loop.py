"""The training loop: plain torch, one screen. Where it runs and who watches is nothing it knows."""

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.models.shapes import rows_a_pass
from pipelines.spec.objective import Task
from pipelines.spec.training import EarlyStopping
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.acceleration import accelerated, lay_out
from pipelines.training.augmentation import augmented
from pipelines.training.batches import Batches
from pipelines.training.gradients import gradients_of
from pipelines.training.health import UNKNOWN, Health
from pipelines.training.objective import Objective, build_objective
from pipelines.training.optimizers import build_optimizer, clip
from pipelines.training.randomness import random_state, set_random_state
from pipelines.training.schedules import LearningRate
from pipelines.training.slabs import Part, RowSource, Slab, slabs
from pipelines.training.tally import Measures, measure, tally
from pipelines.training.team import Team


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
    health: Health = UNKNOWN

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
            | self.health.metrics
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


@dataclass(frozen=True)
class Passed:
    """How far a pass over a part has come, always at the end of an update."""

    updates: int = 0
    sums: Tensor | float = 0.0
    """Over the rows of this worker so far, see `tally`."""
    seconds: float = 0.0


_NOTHING = Passed()


class Fitting:
    """All that training changes, and so all that a checkpoint has to hold."""

    def __init__(self, network: nn.Module, spec: TrainingSpec) -> None:
        lay_out(network)
        self.network, self._rule = network, spec.optimizer
        self.optimizer = build_optimizer(spec.optimizer, network.parameters())
        self.learning_rate = LearningRate(spec, self.optimizer)
        self.best = BestEpoch(spec.training.early_stopping)
        self.reports: list[EpochReport] = []
        self.passed = _NOTHING
        """Of the epoch after the last report."""

    def before_update(self, epoch: int, updates: int, update: int) -> None:
        """What comes between the gradient and the update number `update`, from 0, of an epoch."""
        self.learning_rate.before_update(epoch, update, updates)
        clip(self._rule, self.network)

    def state_dict(self, team: Team) -> dict[str, Any]:
        """What to give `load_state_dict` to go on from here; a team's workers call it together.

        What is each worker's own is in it for each: its sums within an epoch and its random numbers.
        """
        own = {"sums": torch.as_tensor(self.passed.sums).cpu(), "random": random_state(self._device)}
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "learning_rate": self.learning_rate.state_dict(),
            "best": self.best.state_dict(),
            "reports": self.reports,
            "updates": self.passed.updates,
            "seconds": self.passed.seconds,
            "workers": team.gather(own),
        }

    def load_state_dict(self, state: Mapping[str, Any], rank: int) -> None:
        """Go on from a state, which from now on is this fitting's own, as the worker of this rank."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.learning_rate.load_state_dict(state["learning_rate"])
        self.best.load_state_dict(state["best"])
        self.reports = state["reports"]
        own = state["workers"][rank]
        self.passed = Passed(state["updates"], own["sums"].to(self._device), state["seconds"])
        set_random_state(own["random"], self._device)

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device


def fit(
    fitting: Fitting,
    spec: TrainingSpec,
    train: RowSource,
    validation: Part,
    target_deviation: float,
    team: Team,
    *,
    class_weights: Sequence[float] | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Iterator[EpochReport]:
    """Train on from where `fitting` has come to, an epoch at a time, to the end.

    Calls `pause` now and then within an epoch, at the same updates on all workers, when `fitting` can be kept.
    """
    objective = build_objective(spec, class_weights, train.sample.targets.device)
    network, optimizer, best = fitting.network, fitting.optimizer, fitting.best
    model = team.wrap(augmented(accelerated(network, spec, train.sample.features), spec.data))
    batches = Batches(len(train), spec.training.batch_size, team.rank, team.size, train.groups)
    together = max(spec.training.batch_size, rows_a_pass(validation.features.shape[1:]))
    held_out = Batches(len(validation), together, team.rank, team.size)
    for epoch in range(len(fitting.reports) + 1, spec.training.epochs + 1):
        if best.should_stop:
            return
        started = time.perf_counter() - fitting.passed.seconds
        updates, count = batches.of_epoch(spec, epoch), batches.num_updates(spec)
        before_update = partial(fitting.before_update, epoch, count)
        work = slabs(train, islice(updates, fitting.passed.updates, None), batches.share)
        for passed in run_epoch(model, objective, spec.task, work, team, optimizer, before_update, fitting.passed):
            fitting.passed = passed
            if passed.updates < count:  # else the epoch's own report is next
                pause()
        fitted = measure(spec.task, team.total(torch.as_tensor(fitting.passed.sums)), target_deviation)
        seconds, fitting.passed = time.perf_counter() - started, _NOTHING
        with torch.no_grad():
            *_, passed = run_epoch(
                network, objective, spec.task, slabs(validation, held_out.full(), held_out.share), team
            )
            penalty = objective.penalty(network).item()
        checked = measure(spec.task, team.total(torch.as_tensor(passed.sums)), target_deviation)
        fitting.learning_rate.after_epoch(checked.loss)
        fitting.reports.append(
            EpochReport(
                epoch=epoch,
                train=fitted,
                validation=checked,
                penalty=penalty,
                learning_rate=optimizer.param_groups[0]["lr"],
                seconds=seconds,
                rows_per_second=len(train) / seconds,
                best=best.observe(checked.loss, network),
            )
        )
        yield fitting.reports[-1]


def run_epoch(
    model: nn.Module,
    objective: Objective,
    task: Task,
    work: Iterable[Slab],
    team: Team,
    optimizer: torch.optim.Optimizer | None = None,
    before_update: Callable[[int], None] = lambda _: None,
    passed: Passed = _NOTHING,
) -> Iterator[Passed]:
    """Pass on over a part, stepping after each update if there is an optimizer; tell how far it has come, now and then.

    Nothing here waits for the device: what the network puts out stays there, and is added up once a slab. (Networks for
    texts wait themselves, for the lengths that packing wants on the CPU.)
    """
    model.train(optimizer is not None)
    gradients = gradients_of(model, objective) if optimizer else None
    penalised = objective.penalised(model)
    updates, sums, started = passed.updates, passed.sums, time.perf_counter() - passed.seconds
    for slab in work:
        outputs = []
        for chunk in slab.chunks:
            if optimizer is None or gradients is None:
                outputs.append(model(*chunk.inputs))
                continue
            with nullcontext() if chunk.last else team.local(model):
                # The team averages over its workers; times its size, that is the sum over all rows of the update.
                outputs.append(gradients.add(chunk.inputs, chunk.targets, team.size / chunk.num_rows))
            if chunk.last:
                objective.add_penalty_gradient(penalised)
                before_update(updates)
                optimizer.step()
                gradients.clear()
                updates += 1
        with torch.no_grad():
            together = torch.cat(outputs)
            sums = sums + tally(task, together, slab.targets, objective.per_row(together, slab.targets))
        if slab.chunks[-1].last:
            yield Passed(updates, sums, time.perf_counter() - started)
