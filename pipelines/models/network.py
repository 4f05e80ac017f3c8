"""From the spec's `model` section to a network."""

import math

import torch
from torch import nn

from pipelines.models.cnn import build_cnn
from pipelines.models.mlp import build_mlp
from pipelines.models.rnn import build_rnn
from pipelines.spec.model import Cnn, Mlp, Model, Rnn


def build_network(model: Model, row_shape: tuple[int, ...], outputs: int | tuple[int, ...], seed: int) -> nn.Module:
    """A network on the CPU with first weights drawn from `seed`: (B, *row_shape) → (B, outputs).

    The outputs are logits for classes, or scaled quantities. Raises DataError if a row does not fit the family.
    """
    if isinstance(outputs, tuple):
        flat = build_network(model, row_shape, math.prod(outputs), seed)
        return nn.Sequential(flat, nn.Unflatten(1, outputs))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        match model:
            case Mlp():
                return build_mlp(model, row_shape, outputs)
            case Cnn():
                return build_cnn(model, row_shape, outputs)
            case Rnn():
                return build_rnn(model, row_shape, outputs)
