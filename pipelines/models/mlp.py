"""Multilayer perceptron: (B, *row) → (B, outputs)."""

import math

from torch import nn

from pipelines.errors import DataError
from pipelines.models.activations import dense
from pipelines.models.shapes import Answer, RowShape
from pipelines.spec.model import Mlp


def build_mlp(model: Mlp, row: RowShape, answer: Answer) -> nn.Sequential:
    """A perceptron over the flattened values of a row. Raises DataError for texts."""
    if row.vocabulary is not None:
        raise DataError("model.family", "rnn or cnn for texts", "'mlp'")
    widths = (math.prod(row.shape), *model.hidden)
    layers = dense(widths, model.activation, answer.numbers, model.norm, model.dropout)
    return nn.Sequential(nn.Flatten(), *layers, *answer.form)
