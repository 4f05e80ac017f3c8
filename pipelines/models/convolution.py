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
    """Convolution, norm, activation, pooling and dropout; if residual, two convolutions and a shortcut.

    y = f(g(x)), or f(h(f(g(x))) + s(x)) with s the identity, or a 1×1 convolution where channels or stride differ.
    """

    def __init__(self, dims: int, channels_in: int, block: Block, model: Cnn) -> None:
        super().__init__()
        channels = channels_in, block.channels
        self.first = ConvolutionLayer(dims, channels, block.kernel_size, block.stride, model)
        self.activation = ACTIVATIONS[model.activation]()
        self.takes_max = block.pooling == "max"
        self.rises = self.takes_max and model.activation in ("relu", "leaky_relu", "sigmoid", "tanh")
        """So the largest value stays the largest, and training may pool first: a tenth less time a step. Where it is
        served, convolution and activation are one operator."""
        self.second: ConvolutionLayer | None = None
        self.shortcut: ConvolutionLayer | None = None
        if block.residual:
            self.second = ConvolutionLayer(dims, (block.channels, block.channels), block.kernel_size, 1, model)
            if block.stride > 1 or channels_in != block.channels:
                self.shortcut = ConvolutionLayer(dims, channels, 1, block.stride, model)
        self.size = block.pool
        self.pool = _pooling(dims, block) if block.pool > 1 else nn.Sequential()
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
            y, after_B = self._pooled(y, after_B)
        return cast("Tensor", self.dropout(y)), after_B

    def _pooled(self, y: Tensor, lengths_B: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if lengths_B is None:
            return self.pool(y), None
        if not self.takes_max:
            y = self.pool(y, counted(y, lengths_B))
        after_B = (lengths_B + self.size - 1) // self.size
        if self.takes_max:  # an infinity would be NaN in the gradient of some activations
            y = padded(self.pool(padded(y, lengths_B, -torch.inf)), after_B)
        return y, after_B


def _pooling(dims: int, block: Block) -> nn.Module:
    match block.pooling:
        case "max":
            return SeriesPooling(block.pool) if dims == 1 else nn.MaxPool2d(block.pool)
        case "average":
            return SeriesAverage(block.pool) if dims == 1 else nn.AvgPool2d(block.pool)


class SeriesPooling(nn.MaxPool2d):
    """Max pooling over time, (B, C, T) → (B, C, T / size rounded up): what is left over at the end is a window too.

    It is pooling of images one high, as torch exports `MaxPool1d` for a single length only.
    """

    def __init__(self, size: int) -> None:
        super().__init__((1, size), ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Pool."""
        return cast("Tensor", super().forward(x.unsqueeze(2))).squeeze(2)


class SeriesAverage(nn.AvgPool2d):
    """The mean of each window of steps, (B, C, T) → (B, C, T / size rounded up), of those that there are and count.

    Σ xₜ / Σ 1, both by the same pooling: what it divides a window at the end by is not the same in every runtime.
    """

    def __init__(self, size: int) -> None:
        super().__init__((1, size), ceil_mode=True)
        self.size = size

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Pool; `valid` (B, 1, T) says which steps count, by default all."""
        counts = torch.ones_like(x[:, :1]) if valid is None else valid.to(x)
        sums, numbers = (self._pooled(each.unsqueeze(2)) for each in (x * counts, counts))
        return (sums / numbers.clamp(min=0.5 / self.size)).squeeze(2)  # where none counts, 0

    def _pooled(self, x: Tensor) -> Tensor:
        return super().forward(x)


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
