"""Blocks of convolution over time or over an image; in a padded batch of series, padding changes nothing.

Steps beyond a row's length are set to 0 before each convolution, as its own padding at the ends is, and are left out
of each norm and each pooling: a row's result is that of the row alone.
"""

from typing import cast

import torch
from torch import Tensor, nn

from pipelines.models.activations import ACTIVATIONS, dropped, initialise
from pipelines.models.normalization import normalization
from pipelines.spec.model import Block, Cnn


def counted(x_BCT: Tensor, lengths_B: Tensor) -> Tensor:
    """Which steps are within a row's length: (B, 1, T)."""
    return torch.arange(x_BCT.shape[2], device=x_BCT.device) < lengths_B[:, None, None]


def padded(x_BCT: Tensor, lengths_B: Tensor | None, value: float = 0.0) -> Tensor:
    """`value` in the place of what is beyond a row's length."""
    return x_BCT if lengths_B is None else x_BCT.masked_fill(~counted(x_BCT, lengths_B), value)


class ConvolutionLayer(nn.Module):
    """Convolution, padded so that only the stride makes it smaller, then norm."""

    def __init__(self, dims: int, channels: tuple[int, int], size: int, stride: int, model: Cnn) -> None:
        super().__init__()
        kind: type[nn.Conv1d] | type[nn.Conv2d] = nn.Conv1d if dims == 1 else nn.Conv2d
        self.convolution = kind(*channels, size, stride=stride, padding=size // 2)
        initialise(self.convolution, model.activation)
        self.norms = nn.ModuleList(normalization(model.norm, channels[1]))
        self.stride = stride

    def forward(self, x: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, C, *) and the lengths of rows (B, C, T), by default T → the same after it."""
        x = self.convolution(padded(x, lengths_B))
        lengths_B = None if lengths_B is None else (lengths_B - 1) // self.stride + 1
        for norm in self.norms:
            x = norm(x, None if lengths_B is None else counted(x, lengths_B))
        return x, lengths_B


class ConvolutionBlock(nn.Module):
    """Convolution, norm, activation, max pooling and dropout; if residual, two convolutions and a shortcut.

    y = f(g(x)), or f(h(f(g(x))) + s(x)) with s the identity, or a 1×1 convolution where channels or stride differ.
    """

    def __init__(self, dims: int, channels_in: int, block: Block, model: Cnn) -> None:
        super().__init__()
        channels = channels_in, block.channels
        self.first = ConvolutionLayer(dims, channels, block.kernel_size, block.stride, model)
        self.activation = ACTIVATIONS[model.activation]()
        self.rises = model.activation in ("relu", "leaky_relu", "sigmoid", "tanh")
        """So the largest value stays the largest, and training may pool first: a tenth less time a step. Where it is
        served, convolution and activation are one operator."""
        self.second: ConvolutionLayer | None = None
        self.shortcut: ConvolutionLayer | None = None
        if block.residual:
            self.second = ConvolutionLayer(dims, (block.channels, block.channels), block.kernel_size, 1, model)
            if block.stride > 1 or channels_in != block.channels:
                self.shortcut = ConvolutionLayer(dims, channels, 1, block.stride, model)
        self.size = block.pool
        pooling = SeriesPooling(block.pool) if dims == 1 else nn.MaxPool2d(block.pool)
        self.pool = nn.Sequential(*([pooling] if block.pool > 1 else []))
        self.dropout = nn.Sequential(*dropped(model.dropout))

    def forward(self, x: Tensor, lengths_B: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """(B, C, *) and the lengths of rows (B, C, T), by default T → the same after it."""
        y, after_B = self.first(x, lengths_B)
        if self.second is not None:
            around = x if self.shortcut is None else self.shortcut(x, lengths_B)[0]
            y = self.second(self.activation(y), after_B)[0] + around
        if self.training and self.rises and after_B is None:
            return cast("Tensor", self.dropout(self.activation(self.pool(y)))), None
        y = self.activation(y)
        if self.size > 1:
            y = self.pool(padded(y, after_B, -torch.inf))
            after_B = None if after_B is None else (after_B + self.size - 1) // self.size
            y = padded(y, after_B)  # an infinity would be NaN in the gradient of some activations
        return cast("Tensor", self.dropout(y)), after_B


class SeriesPooling(nn.MaxPool2d):
    """Max pooling over time, (B, C, T) → (B, C, T / size rounded up): what is left over at the end is a window too.

    It is pooling of images one high, as torch exports `MaxPool1d` for a single length only.
    """

    def __init__(self, size: int) -> None:
        super().__init__((1, size), ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        return cast("Tensor", super().forward(x.unsqueeze(2))).squeeze(2)


class GlobalPooling(nn.Module):
    """The mean, or the largest, of each channel: (B, C, *) → (B, C)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """Over all positions; of rows (B, C, T) with lengths, over the steps within them."""
        if self.kind == "max":
            return padded(x, lengths_B, -torch.inf).flatten(2).amax(dim=2)
        if lengths_B is None:
            return x.flatten(2).mean(dim=2)
        return padded(x, lengths_B).sum(dim=2) / lengths_B[:, None]
