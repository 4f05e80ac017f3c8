"""The learning rate of each update, from the spec's `schedule` section."""

import math
from typing import Any

import torch

from pipelines.spec.optimizer import Constant, Cosine, ReduceOnPlateau, Step
from pipelines.spec.training_spec import TrainingSpec

State = dict[str, Any]


class LearningRate:
    """Sets an optimizer's learning rate: η · warmup · schedule, the same on all workers.

    Warmup over w epochs: min(1, t / w), with t the epochs done when the update is.
    step: factor^⌊s / every⌋, with s the epochs done before the update. cosine over the E epochs of training:
    final + (1 - final)(1 + cos(π p)) / 2, p = (s - w) / (E - w). reduce_on_plateau: factor^falls.
    """

    def __init__(self, spec: TrainingSpec, optimizer: torch.optim.Optimizer) -> None:
        self._schedule, self._epochs, self._optimizer = spec.schedule, spec.training.epochs, optimizer
        self._full = spec.optimizer.learning_rate
        self._stays = isinstance(spec.schedule, Constant) and not spec.schedule.warmup_epochs
        self._falls = self._waited = 0
        self._best = math.inf

    def at(self, epoch: int, update: int, updates: int) -> float:
        """The rate of update number `update`, from 0, of the `updates` in epoch number `epoch`, from 1."""
        before = epoch - 1 + update / updates
        warmup = self._schedule.warmup_epochs
        # A first update with a rate of 0 would be wasted: the warmup counts the update itself.
        risen = min(1.0, (before + 1 / updates) / warmup) if warmup else 1.0
        return self._full * risen * self._share(before)

    def before_update(self, epoch: int, update: int, updates: int) -> None:
        """To be called before each update, numbered as for `at`."""
        if self._stays:
            return
        rate = self.at(epoch, update, updates)
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def after_epoch(self, loss: float) -> None:
        """To be called after each epoch with its validation loss."""
        if not isinstance(self._schedule, ReduceOnPlateau):
            return
        if loss < self._best - self._schedule.min_delta:
            self._best, self._waited = loss, 0
            return
        self._waited += 1
        if self._waited >= self._schedule.patience:
            self._falls, self._waited = self._falls + 1, 0

    def state_dict(self) -> State:
        """What to give `load_state_dict` to go on from here."""
        return {"falls": self._falls, "waited": self._waited, "best": self._best}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state."""
        self._falls, self._waited, self._best = state["falls"], state["waited"], state["best"]

    def _share(self, before: float) -> float:
        schedule = self._schedule
        match schedule:
            case Constant():
                return 1.0
            case Step():
                return schedule.factor ** math.floor(before / schedule.every)
            case Cosine():
                warmup = schedule.warmup_epochs
                way = max(0.0, before - warmup) / (self._epochs - warmup)
                return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * way)) / 2
            case ReduceOnPlateau():
                return schedule.factor**self._falls
