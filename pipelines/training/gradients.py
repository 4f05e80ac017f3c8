"""The gradient of the objective's data term: by autograd for any network, for a plain perceptron by its formulas.

In a small perceptron autograd's bookkeeping takes longer than the arithmetic. Both ways compute the same sums.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.training.objective import Objective

_aten = torch.ops.aten


class Gradients(Protocol):
    """Fills the gradients of a network's parameters."""

    def add(self, inputs: tuple[Tensor, ...], targets: Tensor, scale: float) -> Tensor:
        """Add the gradient of scale · Σ loss(row) over some rows; returns what the network put out for them, (B, K)."""

    def clear(self) -> None:
        """Begin anew."""


def gradients_of(model: nn.Module, objective: Objective) -> Gradients:
    """The quickest way for a model."""
    layers = _perceptron(model)
    return Backpropagation(layers, objective) if layers else Autograd(model, objective)


class Autograd:
    """For every model."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self._model, self._objective = model, objective
        self._parameters = list(model.parameters())

    def add(self, inputs: tuple[Tensor, ...], targets: Tensor, scale: float) -> Tensor:
        """A forward and a backward pass."""
        outputs: Tensor = self._model(*inputs)
        losses = self._objective.per_row(outputs, targets)
        losses.backward(torch.full_like(losses, scale))  # type: ignore[no-untyped-call] # torch leaves it unannotated
        return outputs.detach()

    def clear(self) -> None:
        """The next backward pass makes new ones."""
        for parameter in self._parameters:
            parameter.grad = None


class Layer(NamedTuple):
    """Of a perceptron: h = activation(Wx + b)."""

    linear: nn.Linear
    activation: "Activation | None"
    """None for the last one."""


class Activation(NamedTuple):
    """A function whose derivative its own value tells."""

    apply_: Callable[[Tensor], Tensor]
    """In place."""
    backward: Callable[[Tensor, Tensor], Tensor]
    """From ∂J/∂h and h to ∂J/∂z."""


_ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.ReLU: Activation(torch.relu_, lambda delta, value: _aten.threshold_backward(delta, value, 0)),
    nn.Sigmoid: Activation(torch.sigmoid_, _aten.sigmoid_backward),
    nn.Tanh: Activation(torch.tanh_, _aten.tanh_backward),
}


class Backpropagation:
    """Of layers z = Wx + b, h = activation(z), with δ = ∂J/∂z: ∂J/∂W = δᵀx, ∂J/∂b = Σ δ, ∂J/∂x = δW (Rumelhart, 1986).

    The loss's own derivative is autograd's, so that a loss has one definition.
    """

    def __init__(self, layers: list[Layer], objective: Objective) -> None:
        self._layers, self._objective = layers, objective
        self._fresh = True
        for layer in layers:
            for parameter in layer.linear.parameters():
                parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def add(self, inputs: tuple[Tensor, ...], targets: Tensor, scale: float) -> Tensor:
        """Forward through the layers, backward by the formulas."""
        values = [inputs[0].flatten(1)]
        for linear, activation in self._layers:
            sums = functional.linear(values[-1], linear.weight, linear.bias)
            values.append(activation.apply_(sums) if activation else sums)
        outputs = values.pop()
        delta = self._loss_gradient(outputs, targets, scale)
        for number in range(len(values) - 1, -1, -1):
            linear, _ = self._layers[number]
            self._accumulate(linear, delta, values[number])
            if number:
                activation = self._layers[number - 1].activation
                delta = delta @ linear.weight
                delta = activation.backward(delta, values[number]) if activation else delta
        self._fresh = False
        return outputs

    def clear(self) -> None:
        """The next ones overwrite these."""
        self._fresh = True

    def _loss_gradient(self, outputs: Tensor, targets: Tensor, scale: float) -> Tensor:
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            losses = self._objective.per_row(leaf, targets)
            return torch.autograd.grad(losses, leaf, torch.full_like(losses, scale))[0]

    def _accumulate(self, linear: nn.Linear, delta: Tensor, values: Tensor) -> None:
        kernel, bias = linear.weight.grad, linear.bias.grad
        assert kernel is not None
        assert bias is not None
        if self._fresh:
            torch.mm(delta.t(), values, out=kernel)
            torch.sum(delta, 0, out=bias)
        else:
            kernel.addmm_(delta.t(), values)
            bias.add_(delta.sum(0))


def _perceptron(model: nn.Module) -> list[Layer] | None:
    """The layers of a model that is nothing but linear layers and simple activations; None for another.

    And None for one with hooks, which only autograd calls: somebody wants to see what happens in it.
    """
    layers: list[Layer] = []
    for module in _in_order(model):
        if module._forward_hooks or module._forward_pre_hooks:
            return None
        if isinstance(module, nn.Linear) and module.bias is not None:
            layers.append(Layer(module, None))
        elif type(module) in _ACTIVATIONS and layers and layers[-1].activation is None:
            layers[-1] = Layer(layers[-1].linear, _ACTIVATIONS[type(module)])
        elif not (isinstance(module, nn.Flatten) and not layers):
            return None
    return layers if layers and layers[-1].activation is None else None


def _in_order(model: nn.Module) -> Iterator[nn.Module]:
    if isinstance(model, nn.Sequential):
        for module in model:
            yield from _in_order(module)
    else:
        yield model
