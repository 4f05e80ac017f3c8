"""Why a loss is no longer finite: what led there is run again with hooks, until the first bad value shows.

It runs only after such a loss was seen, so training itself pays for one look at the figures of an epoch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pipelines.errors import NonFiniteError, TrainingError
from pipelines.spec.optimizer import GradientDescent
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.batches import Batches
from pipelines.training.loop import Fitting, Part, fit
from pipelines.training.objective import Objective
from pipelines.training.team import Solo

_FAR = 1000.0
"""Scaled features beyond this many deviations are worth a look."""


@dataclass(frozen=True)
class _Batch:
    """A batch as it went through the network."""

    part: str
    step: int
    rows: Tensor


class _FoundError(Exception):
    """Leaves the loop at the first bad value."""

    def __init__(self, place: str, batch: _Batch) -> None:
        super().__init__(place, batch)
        self.place, self.batch = place, batch


def explain(fitting: Fitting, spec: TrainingSpec, train: Part, validation: Part, epoch: int) -> TrainingError:
    """What to raise for a loss of `epoch` that is not finite: NonFiniteError, if the bad value shows again.

    `fitting` stands at some point before; it trains on from there, alone: the batches are those of all workers together.
    """
    try:
        with _watched(_Lookout(fitting, spec, train, validation)):
            for report in fit(fitting, spec, train, validation, 1.0, Solo()):
                if report.epoch >= epoch:
                    break
    except _FoundError as found:
        batch = found.batch
        features = (train if batch.part == "training" else validation).features[batch.rows]
        advice = _advice(spec, features)
        return NonFiniteError(epoch, batch.step, batch.part, tuple(batch.rows.tolist()), found.place, advice)
    advice = _advice(spec, train.features[:0])
    return TrainingError(f"the loss is no longer finite in epoch {epoch}, but was when that was repeated; try {advice}")


class _Lookout:
    """Follows the batches of a fitting through its network, and raises at the first value that is not finite."""

    def __init__(self, fitting: Fitting, spec: TrainingSpec, train: Part, validation: Part) -> None:
        self.network = fitting.network
        self._fitting, self._spec = fitting, spec
        self._train, self._validation = train, validation
        self._objective = Objective(spec.loss, spec.regularization)
        self._pass = (0, False)
        self._chunks: Iterator[Tensor] = iter(())
        self._batch = self._trained = _Batch("training", 0, torch.zeros(0, dtype=torch.int64))

    def begin(self, network: nn.Module, arguments: tuple[Any, ...]) -> None:
        """A batch comes to the network, whose weights are as the last update left them."""
        this = (len(self._fitting.reports) + 1, network.training)
        if this != self._pass:
            self._pass, self._chunks = this, self._rows(*this)
            self._batch = _Batch("training" if network.training else "validation", 0, self._batch.rows[:0])
        for name, parameter in network.named_parameters():
            self._check(parameter, f"the weights {name} after the update", self._trained)
        rows = next(self._chunks, torch.arange(0)) if network.training else self._next_rows(len(arguments[0]))
        self._batch = _Batch(self._batch.part, self._batch.step + 1, rows)
        if network.training:
            self._trained = self._batch

    def output(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        """A hook for the layer of this name."""

        def look(layer: nn.Module, _: tuple[Any, ...], output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            self._check(first, f"the output of layer {name} ({type(layer).__name__})", self._batch)

        return look

    def loss(self, network: nn.Module, _: tuple[Any, ...], outputs: Tensor) -> None:
        """A hook for the network as a whole."""
        self._check(outputs, "the output of the network", self._batch)
        part = self._train if network.training else self._validation
        losses = self._objective.per_row(outputs.detach(), part.targets[self._batch.rows.to(part.targets.device)])
        self._check(losses, "the loss", self._batch)

    def gradient(self, name: str) -> Callable[[Tensor], None]:
        """A hook for the gradient of the weights of this name."""
        return lambda gradient: self._check(gradient, f"the gradient of the weights {name}", self._batch)

    def _check(self, values: Tensor, place: str, batch: _Batch) -> None:
        if not torch.isfinite(values).all():
            raise _FoundError(place, batch)

    def _rows(self, epoch: int, training: bool) -> Iterator[Tensor]:
        if not training:
            return iter(())
        batches = Batches(len(self._train.targets), self._spec.training.batch_size, rank=0, size=1)
        full = isinstance(self._spec.optimizer, GradientDescent)
        updates = batches.full() if full else batches.stochastic(self._spec.seed, epoch)
        return (chunk for update in updates for chunk in update.chunks)

    def _next_rows(self, number: int) -> Tensor:
        """Validation rows come in their order."""
        start = int(self._batch.rows[-1]) + 1 if len(self._batch.rows) else 0
        return torch.arange(start, start + number)


@contextmanager
def _watched(lookout: _Lookout) -> Iterator[None]:
    network = lookout.network
    handles: list[RemovableHandle] = [network.register_forward_pre_hook(lookout.begin)]
    for name, layer in network.named_modules():
        if name and not list(layer.children()):
            handles.append(layer.register_forward_hook(lookout.output(name)))
    handles.append(network.register_forward_hook(lookout.loss))
    for name, parameter in network.named_parameters():
        handles.append(parameter.register_hook(lookout.gradient(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _advice(spec: TrainingSpec, features: Tensor) -> str:
    advice = [f"a smaller optimizer.learning_rate than {spec.optimizer.learning_rate:g}"]
    if not spec.data.standardize:
        advice.append("data.standardize: true")
    largest = float(features.abs().max()) if features.numel() else 0.0
    if largest > _FAR:
        advice.append(f"a look at these rows, whose features as the network gets them reach {largest:.3g}")
    return ", or ".join(advice)
