"""Why a loss is no longer finite: what led there is run again under watch, until the first bad value shows.

It runs only after such a loss was seen, so training itself pays for one look at the figures of an epoch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pipelines.data.row_names import RowNames
from pipelines.errors import NonFiniteError, TrainingError
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.batches import Batches
from pipelines.training.loop import EpochReport, Fitting
from pipelines.training.objective import Objective
from pipelines.training.slabs import Part, RowSource

_FAR = 1000.0
"""Scaled features beyond this many deviations are worth a look."""

_NO_ROWS = torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True)
class Suspect:
    """A training that went wrong: what it trained with, and the whole batches that all workers shared."""

    spec: TrainingSpec
    objective: Objective
    train: RowSource
    validation: Part
    row_names: RowNames


@dataclass(frozen=True)
class _Batch:
    """A batch as it went through the network."""

    part: str = "training"
    step: int = 0
    rows: Tensor = _NO_ROWS


class _FoundError(Exception):
    """Leaves the training at the first bad value."""

    def __init__(self, place: str, batch: _Batch) -> None:
        super().__init__(place, batch)
        self.place, self.batch = place, batch


def explain(suspect: Suspect, again: Fitting, epochs: Iterator[EpochReport], epoch: int) -> TrainingError:
    """What to raise for a loss of `epoch` that is not finite: NonFiniteError, if the bad value shows again.

    `again` stands at some point before that; `epochs` trains it on, alone, when it is asked for the next report.
    """
    watched = _Watched(again, suspect)
    again.network = watched
    try:
        with _hooks(watched):
            any(report.epoch >= epoch for report in epochs)
    except _FoundError as found:
        batch = found.batch
        part = suspect.train if batch.part == "training" else suspect.validation
        (features, *_), _ = part.take(batch.rows)
        advice = _advice(suspect.spec, features)
        rows = suspect.row_names.of(part.ids(batch.rows))
        return NonFiniteError(epoch, batch.step, batch.part, rows, found.place, advice)
    finally:
        again.network = watched.network
    advice = _advice(suspect.spec, suspect.validation.features[:0])
    return TrainingError(f"the loss is no longer finite in epoch {epoch}, but was when that was repeated; try {advice}")


def is_sound(fitting: Fitting) -> bool:
    """Whether weights and losses are numbers yet; a checkpoint from within an epoch may have been kept too late."""
    values = [*fitting.network.parameters(), torch.as_tensor(fitting.passed.sums)]
    return all(bool(torch.isfinite(value).all()) for value in values)


class _Watched(nn.Module):
    """A network that knows which batch it gets, and raises at the first value that is not finite."""

    def __init__(self, fitting: Fitting, suspect: Suspect) -> None:
        super().__init__()
        self.network = fitting.network
        self._fitting, self._suspect = fitting, suspect
        self._pass = (0, False)
        self._training_rows: Iterator[Tensor] = iter(())
        self.batch = self._trained = _Batch()

    def forward(self, features: Tensor, *others: Tensor) -> Tensor:
        """Look at the weights as the last update left them, then at the loss; hooks look in between and after."""
        for name, parameter in self.network.named_parameters():
            check(parameter, f"the weights {name} after the update", self._trained)
        self.batch = self._next(len(features))
        outputs: Tensor = self.network(features, *others)
        check(outputs, "the output of the network", self.batch)
        part = self._suspect.train if self.training else self._suspect.validation
        if len(self.batch.rows) == len(features):
            _, targets = part.take(self.batch.rows)
            check(self._suspect.objective.per_row(outputs.detach(), targets), "the loss", self.batch)
        return outputs

    def _next(self, num_rows: int) -> _Batch:
        this = (len(self._fitting.reports) + 1, self.training)
        if this != self._pass:
            done = self._fitting.passed.updates  # of an epoch that a checkpoint has the beginning of
            self._pass = this
            self.batch = _Batch("training", done) if self.training else _Batch("validation")
            self._training_rows = islice(self._rows_of(this[0]), done, None)
        last = self.batch
        if self.training:
            self._trained = _Batch(last.part, last.step + 1, next(self._training_rows, _NO_ROWS))
            return self._trained
        start = int(last.rows[-1]) + 1 if len(last.rows) else 0  # validation rows come in their order
        return _Batch(last.part, last.step + 1, torch.arange(start, start + num_rows))

    def _rows_of(self, epoch: int) -> Iterator[Tensor]:
        spec = self._suspect.spec
        train = self._suspect.train
        batches = Batches(len(train), spec.training.batch_size, rank=0, size=1, groups=train.groups)
        return (chunk for update in batches.of_epoch(spec, epoch) for chunk in update.chunks)


def check(values: object, place: str, batch: _Batch) -> None:
    """Raise _FoundError at a tensor with a value that is not finite."""
    if isinstance(values, Tensor) and not torch.isfinite(values).all():
        raise _FoundError(place, batch)


@contextmanager
def _hooks(watched: _Watched) -> Iterator[None]:
    network = watched.network
    handles: list[RemovableHandle] = []
    for name, layer in network.named_modules():
        if not list(layer.children()):
            handles.append(layer.register_forward_hook(_on_output(watched, name)))
    for name, parameter in network.named_parameters():
        hook = _on_gradient(watched, name)
        handles.append(parameter.register_hook(hook))  # type: ignore[no-untyped-call] # torch leaves it unannotated
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_output(watched: _Watched, name: str) -> Callable[[nn.Module, object, object], None]:
    def look(layer: nn.Module, _: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        check(first, f"the output of layer {name} ({type(layer).__name__})", watched.batch)

    return look


def _on_gradient(watched: _Watched, name: str) -> Callable[[Tensor], None]:
    return lambda gradient: check(gradient, f"the gradient of the weights {name}", watched.batch)


def _advice(spec: TrainingSpec, features: Tensor) -> str:
    advice = [f"a smaller optimizer.learning_rate than {spec.optimizer.learning_rate:g}"]
    if not spec.data.standardize:
        advice.append("data.standardize: true")
    largest = float(features.abs().max()) if features.numel() else 0.0
    if largest > _FAR:
        advice.append(f"a look at these rows, whose features as the network gets them reach {largest:.3g}")
    return ", or ".join(advice)
