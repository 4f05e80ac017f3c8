"""Multilayer perceptron: (B, *row) → (B, outputs)."""

import math

from torch import nn

from pipelines.models.activations import dense
from pipelines.spec.model import Mlp


def build_mlp(model: Mlp, row_shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """A perceptron over the flattened values of a row."""
    return nn.Sequential(nn.Flatten(), *dense((math.prod(row_shape), *model.hidden), model.activation, outputs))
