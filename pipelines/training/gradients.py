"""The gradient of the objective's data term: by autograd for any network, for a plain perceptron by its formulas.

In a small perceptron autograd's bookkeeping takes longer than the arithmetic. Both ways compute the same sums.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

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
    layers = perceptron(model)
    return Backpropagation(layers, objective) if layers else Autograd(model, objective)


class Autograd:
    """For every model."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        self._model, self._objective = model, objective
        self._parameters = list(model.parameters())

    def add(self, inputs: tuple[Tensor, ...], targets: Tensor, scale: float) -> Tensor:
        """A forward and a backward pass."""
        outputs: Tensor = self._model(*inputs)
        torch.autograd.backward(outputs, self._objective.derivative(outputs, targets, scale))
        return outputs.detach()

    def clear(self) -> None:
        """The next backward pass makes new ones."""
        for parameter in self._parameters:
            parameter.grad = None


class Activation(NamedTuple):
    """A function whose derivative its own value tells."""

    apply_: Callable[[Tensor], Tensor]
    """In place."""
    backward: Callable[[Tensor, Tensor], Tensor]
    """From ∂J/∂h and h to ∂J/∂z."""


_ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.ReLU: Activation(torch.relu_, lambda delta, value: _aten.threshold_backward.default(delta, value, 0)),
    nn.Sigmoid: Activation(torch.sigmoid_, _aten.sigmoid_backward.default),
    nn.Tanh: Activation(torch.tanh_, _aten.tanh_backward.default),
}


class Layer(NamedTuple):
    """Of a perceptron: h = activation(Wx + b)."""

    linear: nn.Linear
    activation: Activation | None
    """None for the last one."""


class _Stage(NamedTuple):
    """A layer's tensors, looked up once: modules take longer to find them than small matrices to multiply."""

    weight: Tensor
    bias: Tensor
    kernel_gradient: Tensor
    bias_gradient: Tensor
    activation: Activation | None


class Backpropagation:
    """Of layers z = Wx + b, h = activation(z), with δ = ∂J/∂z: ∂J/∂W = δᵀx, ∂J/∂b = Σ δ, ∂J/∂x = δW.

    Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, 1986.
    """

    def __init__(self, layers: list[Layer], objective: Objective) -> None:
        self._objective = objective
        self._fresh = True
        self._stages = [_stage(layer) for layer in layers]

    @torch.no_grad()
    def add(self, inputs: tuple[Tensor, ...], targets: Tensor, scale: float) -> Tensor:
        """Forward through the layers, backward by the formulas."""
        values = [inputs[0].flatten(1)]
        for stage in self._stages:
            sums = torch.addmm(stage.bias, values[-1], stage.weight.t())
            values.append(stage.activation.apply_(sums) if stage.activation else sums)
        outputs = values.pop()
        delta = self._objective.derivative(outputs, targets, scale)
        for stage, below in zip(reversed(self._stages), [*reversed(self._stages[:-1]), None], strict=True):
            value = values.pop()
            self._accumulate(stage, delta, value)
            if below is not None:
                delta = torch.mm(delta, stage.weight)
                delta = below.activation.backward(delta, value) if below.activation else delta
        self._fresh = False
        return outputs

    def clear(self) -> None:
        """The next ones overwrite these."""
        self._fresh = True

    def _accumulate(self, stage: _Stage, delta: Tensor, value: Tensor) -> None:
        if self._fresh:
            torch.mm(delta.t(), value, out=stage.kernel_gradient)
            torch.sum(delta, 0, out=stage.bias_gradient)
        else:
            stage.kernel_gradient.addmm_(delta.t(), value)
            stage.bias_gradient.add_(delta.sum(0))


def _stage(layer: Layer) -> _Stage:
    weight, bias = layer.linear.weight, layer.linear.bias
    weight.grad, bias.grad = torch.zeros_like(weight), torch.zeros_like(bias)
    return _Stage(weight.detach(), bias.detach(), weight.grad, bias.grad, layer.activation)


def perceptron(model: nn.Module) -> list[Layer] | None:
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
