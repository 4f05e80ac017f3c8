"""Activations, the first weights that fit them, and dense layers made of both."""

from itertools import pairwise

from torch import nn

from pipelines.models.normalization import normalization
from pipelines.spec.model import Activation, Norm

ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}

_SLOPE = 0.01
"""Of leaky_relu below 0, torch's own default."""

_XAVIER_GAINS: dict[Activation | None, float] = {None: 1.0, "sigmoid": 1.0, "tanh": 5 / 3}


def initialise(layer: nn.Linear | nn.Conv1d | nn.Conv2d, activation: Activation | None) -> None:
    """Draw first weights that fit the activation, uniformly within ±a; biases 0.

    Kaiming (He et al., 2015), a = √(6 / ((1 + slope²) fan_in)), before relu and its kin (gelu and silu count as relu);
    else Xavier (Glorot and Bengio, 2010), a = gain · √(6 / (fan_in + fan_out)). `activation` is the one that follows
    the layer; None where the layer puts out the network's result.
    """
    if activation in _XAVIER_GAINS:
        nn.init.xavier_uniform_(layer.weight, gain=_XAVIER_GAINS[activation])
    else:
        slope = _SLOPE if activation == "leaky_relu" else 0.0
        nn.init.kaiming_uniform_(layer.weight, a=slope, nonlinearity="leaky_relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def initialise_recurrent(layers: nn.RNNBase) -> None:
    """Draw first weights of recurrent layers, each gate's by itself; biases 0, but 1 of an LSTM's forget gates.

    From the input Xavier (Glorot and Bengio, 2010), before relu Kaiming (He et al., 2015). From the state orthogonal:
    products of such matrices neither grow nor vanish (Saxe et al., 2014). A forget gate that is open at first lets the
    gradient pass (Jozefowicz et al., 2015); torch adds two biases, of which the input's has the 1.
    """
    for name, parameter in layers.named_parameters():
        for gate, part in enumerate(parameter.chunk(parameter.shape[0] // layers.hidden_size)):
            if name.startswith("bias"):
                nn.init.constant_(part, float(layers.mode == "LSTM" and gate == 1 and name.startswith("bias_ih")))
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(part)
            elif layers.mode == "RNN_RELU":
                nn.init.kaiming_uniform_(part, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(part)


def dense(
    widths: tuple[int, ...], activation: Activation, outputs: int, norm: Norm = "none", dropout: float = 0.0
) -> nn.Sequential:
    """Linear layers of the given widths, each followed by norm, activation and dropout, then a linear layer.

    `widths` starts with the width of the input: (B, widths[0]) → (B, outputs).
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        linear = nn.Linear(width_in, width_out)
        initialise(linear, activation)
        layers += [linear, *normalization(norm, width_out), ACTIVATIONS[activation](), *dropped(dropout)]
    last = nn.Linear(widths[-1], outputs)
    initialise(last, None)
    return nn.Sequential(*layers, last)


def dropped(share: float) -> list[nn.Module]:
    """A layer that drops this share of the values in training; nothing where the share is 0."""
    return [nn.Dropout(share)] if share else []
