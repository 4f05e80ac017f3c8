"""Activations and the first weights that fit them."""

from itertools import pairwise

from torch import nn

from pipelines.spec.model import Activation

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}


def initialise(layer: nn.Linear | nn.Conv2d, activation: Activation | None) -> None:
    """Draw first weights: Kaiming (He et al., 2015) before a ReLU, else Xavier (Glorot and Bengio, 2010); biases 0.

    `activation` is the one that follows the layer; None where the layer puts out the network's result.
    """
    if activation == "relu":
        nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    else:
        nn.init.xavier_uniform_(layer.weight, gain=nn.init.calculate_gain(activation or "linear"))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def dense(widths: tuple[int, ...], activation: Activation, outputs: int) -> nn.Sequential:
    """Linear layers of the given widths, each followed by `activation`, then a linear layer to `outputs`.

    `widths` starts with the width of the input: (B, widths[0]) → (B, outputs).
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        linear = nn.Linear(width_in, width_out)
        initialise(linear, activation)
        layers += [linear, ACTIVATIONS[activation]()]
    last = nn.Linear(widths[-1], outputs)
    initialise(last, None)
    return nn.Sequential(*layers, last)
