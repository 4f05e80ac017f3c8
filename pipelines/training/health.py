"""How a network fares while it trains: measured once an epoch on a few training rows, beside the training itself.

Nothing here changes weights, gradients or random numbers.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pipelines.models.rnn import Recurrence
from pipelines.training.objective import Objective
from pipelines.training.slabs import Part
from pipelines.training.tally import Measures

_ROWS = 256
_ROWS_OF_A_PASS = 4096

DEAD_SHARE = 0.9
"""Of a layer's ReLUs. A layer that is wider than its task needs goes without half of them and learns all the same; what
one learning rate too high kills is nearly all of them, and what is left lets hardly anything through."""

VANISHING = 1e-3
"""The first layer's gradient beside the last one's: what five sigmoids leave, each with a slope of 1/4 at most."""

FORGETTING = 1e-5
"""The first step's gradient beside the last one's. A gate that is half open leaves as much after 17 steps."""

GAPS: Mapping[str, float] = {"accuracy": 0.1, "r2": 0.2}
"""By how much a training score may be above the validation score: ten points of accuracy, which is three standard
errors of 90 % among 81 rows; R² swings more. Among fewer rows three standard errors are allowed."""


@dataclass(frozen=True)
class Health:
    """What one look came to."""

    gradient_norm: float | None = None
    """Euclidean norm of the loss's gradient, without penalties, over all weights; None where it is not finite."""
    warnings: tuple[tuple[str, str], ...] = ()
    """Kind and text of what was seen for the first time."""

    @property
    def metrics(self) -> dict[str, float]:
        """By the names that a run has them under."""
        return {} if self.gradient_norm is None else {"gradient_norm": self.gradient_norm}


UNKNOWN = Health()
"""Nobody has looked."""


@dataclass
class Probe:
    """Looks at a network through evenly spaced training rows."""

    network: nn.Module
    objective: Objective
    part: Part
    """On the network's device."""
    batch_size: int
    validation_rows: int
    told: set[str] = field(default_factory=set)
    """Kinds of warnings that need not be told again."""

    def look(self, train: Measures, validation: Measures, *, best: bool) -> Health:
        """After an epoch with these figures; `best` if no epoch had a lower validation loss."""
        rows = _spaced(len(self.part.targets), min(_ROWS, max(self.batch_size, 32)))
        with _still(self.network), _active_units(self.network) as active, _read(self.network) as series:
            norms, slopes, steps = self._gradients(rows, series)
        found = {
            "dead_relus": self._dead_relus(active),
            "vanishing_gradients": _vanishing(*slopes),
            "vanishing_through_time": "".join(map(_forgotten, series, steps)),
            "generalization_gap": "" if best else _gap(train, validation, self.validation_rows),
        }
        new = tuple((kind, text) for kind, text in found.items() if text and kind not in self.told)
        self.told.update(kind for kind, _ in new)
        norm = float(norms.norm())
        return Health(norm if torch.isfinite(norms).all() else None, new)

    def _gradients(
        self, rows: Tensor, series: "Sequence[_Series]"
    ) -> tuple[Tensor, tuple[float, float], Sequence[Tensor]]:
        """The norm of each parameter's gradient, the size of the first and the last weights', and those of `series`."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        loss = self.objective.per_row(self.network(*self.part.inputs(rows)), self.part.targets[rows]).mean()
        read = [each.read for each in series]
        gradients = torch.autograd.grad(loss, [*parameters, *read], allow_unused=True)
        gradients, of_steps = gradients[: len(parameters)], gradients[len(parameters) :]
        found = [gradient for gradient in gradients if gradient is not None]
        weights = [gradient for gradient in found if gradient.dim() > 1]
        norms = torch.stack([gradient.norm() for gradient in found])
        return norms, (_size(weights[0]), _size(weights[-1])), of_steps

    def _dead_relus(self, active: Mapping[str, Tensor]) -> str:
        """Suspects among few rows are looked at again with many."""
        if "dead_relus" in self.told or not any(_dead_share(units) >= DEAD_SHARE for units in active.values()):
            return ""
        rows = _spaced(len(self.part.targets), _ROWS_OF_A_PASS)
        with torch.no_grad(), _still(self.network), _active_units(self.network) as answering:
            for start in range(0, len(rows), size := max(self.batch_size, 32)):
                self.network(*self.part.inputs(rows[start : start + size]))
        name, units = max(answering.items(), key=lambda entry: _dead_share(entry[1]))
        if _dead_share(units) < DEAD_SHARE:
            return ""
        return (
            f"{int((~units).sum())} of the {len(units)} ReLUs of layer {name} are 0 for each of {len(rows)} training "
            "rows: try a smaller optimizer.learning_rate, or another model.activation"
        )


def _vanishing(first: float, last: float) -> str:
    if not 0 < last < float("inf") or first >= VANISHING * last:
        return ""
    return (
        f"the gradient of the first layer is {first / last:.1g} of the last layer's, so it hardly learns: try "
        "model.activation relu, or fewer layers"
    )


@dataclass(frozen=True)
class _Series:
    """What recurrent layers have read."""

    layers: nn.RNNBase
    read: Tensor


def _forgotten(series: _Series, gradient_BTF: Tensor) -> str:
    """A row's last step is the last that has a gradient: what fills it up has none."""
    sizes_BT = gradient_BTF.norm(dim=2)
    last_B = (sizes_BT != 0).cumsum(dim=1).argmax(dim=1)
    first, last = float(sizes_BT[:, 0].norm()), float(sizes_BT.gather(1, last_B[:, None]).norm())
    if not 0 < last < float("inf") or first >= FORGETTING * last:
        return ""
    gates = "" if series.layers.mode == "LSTM" else "model.cell lstm, or "
    return (
        f"the gradient of the first of {sizes_BT.shape[1]} steps is {first / last:.1g} of the last one's, so what lies "
        f"that far back is hardly learned: try {gates}fewer steps"
    )


def _gap(train: Measures, validation: Measures, rows: int) -> str:
    for name in train.metrics.keys() & validation.metrics.keys() & GAPS.keys():
        high, low = train.metrics[name], validation.metrics[name]
        noise = 3 * (max(low * (1 - low), 0.0) / rows) ** 0.5 if name == "accuracy" else 0.0
        if high - low > max(GAPS[name], noise):
            return (
                f"{name} is {high:.3f} on training and {low:.3f} on validation rows: the network learns by heart; try "
                "more rows, regularization.l2, a smaller model, or training.early_stopping"
            )
    return ""


def _spaced(number: int, most: int) -> Tensor:
    """Indices of at most `most` of so many rows; rows that are sorted by class would not do from their beginning."""
    return torch.arange(number) if number <= most else torch.linspace(0, number - 1, most).long()


def _size(gradient: Tensor) -> float:
    """Root mean square of the entries that are not 0: categories that no row has, and dead units, are left out."""
    return float(gradient.norm() / gradient.count_nonzero().clamp(min=1).sqrt())


def _dead_share(active: Tensor) -> float:
    return 1 - float(active.double().mean())


@contextmanager
def _still(network: nn.Module) -> Iterator[None]:
    """Without dropout and moving averages. cuDNN's recurrent layers have no gradient then, torch's own have."""
    was = network.training
    network.eval()
    try:
        with torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        network.train(was)


@contextmanager
def _read(network: nn.Module) -> Iterator[Sequence[_Series]]:
    """What each stack of recurrent layers reads; in both directions, every step is the first of one of them."""
    found: list[_Series] = []

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not isinstance(layer, Recurrence) or layer.layers.bidirectional:
            return None
        steps = inputs[0] if inputs[0].requires_grad else inputs[0].detach().requires_grad_()
        found.append(_Series(layer.layers, steps))
        return (steps, *inputs[1:])

    layers = [layer for layer in network.modules() if isinstance(layer, Recurrence)]
    handles = [layer.register_forward_pre_hook(hook) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _active_units(network: nn.Module) -> Iterator[Mapping[str, Tensor]]:
    """For each layer of ReLUs, which of its units (U,) were above 0 for any row that has passed."""
    active: dict[str, Tensor] = {}

    def hook(name: str, output: Tensor) -> None:
        above = (output > 0).transpose(0, 1).flatten(1).any(dim=1)
        active[name] = active.get(name, torch.zeros_like(above)) | above

    relus: Sequence[tuple[str, nn.Module]] = [
        (name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.ReLU)
    ]
    handles = [layer.register_forward_hook(lambda *of, name=name: hook(name, of[2])) for name, layer in relus]
    try:
        yield active
    finally:
        for handle in handles:
            handle.remove()
