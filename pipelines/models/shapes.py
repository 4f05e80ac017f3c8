"""What goes into a network and what comes out of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipelines.errors import DataError

Outputs = int | tuple[int, ...]
"""K values a row, or a block of them such as (H, V): H steps ahead of V variables."""


_MOST_ROWS, _MOST_VALUES = 1024, 2**16


def rows_a_pass(row_shape: Sequence[int]) -> int:
    """How many rows go through a network together where nothing is learned: what layers make of them fits caches.

    A thousand images at a time take more than twice as long, and of large ones more memory than there is.
    """
    return max(1, min(_MOST_ROWS, _MOST_VALUES // math.prod(row_shape)))


@dataclass(frozen=True)
class RowShape:
    """Shape of one row: of numbers, or with a vocabulary of token indices (T,), which are below its size."""

    shape: tuple[int, ...]
    vocabulary: int | None = None


@dataclass(frozen=True)
class Answer:
    """How many numbers the last linear layer has, and the layers that make the network's result of them."""

    numbers: int
    form: tuple[nn.Module, ...] = ()


def answer_of(outputs: Outputs, one_logit: bool) -> Answer:
    """Numbers as they are, in the shape of a forecast, or one logit that stands for two classes.

    Raises DataError for one logit unless there are two classes.
    """
    if one_logit and outputs != 2:
        raise DataError("loss.name", "cross_entropy (binary_cross_entropy is for two classes)", f"{outputs} classes")
    if one_logit:
        return Answer(1, (OneLogit(),))
    if isinstance(outputs, int):
        return Answer(outputs)
    return Answer(math.prod(outputs), (nn.Unflatten(1, outputs),))


class OneLogit(nn.Module):
    """One logit z (B, 1) → the logits (0, z) of two classes (B, 2), whose softmax is (1 - σ(z), σ(z))."""

    def forward(self, z: Tensor) -> Tensor:
        """Put a zero before each logit."""
        return torch.cat([torch.zeros_like(z), z], dim=1)
