"""Convolutional network: images (B, C, H, W) → (B, outputs)."""

from itertools import pairwise

from torch import nn

from pipelines.errors import DataError
from pipelines.models.activations import ACTIVATIONS, dense, initialise
from pipelines.spec.model import Cnn


def build_cnn(model: Cnn, row_shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Blocks of convolution, activation and pooling, then dense layers. Raises DataError if the image does not fit."""
    if len(row_shape) != 3:
        raise DataError("data.shape", "[channels, height, width] for model.family cnn", str(list(row_shape)))
    channels, height, width = row_shape
    halvings = len(model.channels)
    if min(height, width) >> halvings == 0:
        expected = f"an image of at least {2**halvings}×{2**halvings} for {halvings} blocks of model.channels"
        raise DataError("data.shape", expected, f"{height}×{width}")
    blocks = [_block(*pair, model) for pair in pairwise((channels, *model.channels))]
    flat = model.channels[-1] * (height >> halvings) * (width >> halvings)
    return nn.Sequential(*blocks, nn.Flatten(), *dense((flat, *model.hidden), model.activation, outputs))


def _block(channels_in: int, channels_out: int, model: Cnn) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, model.kernel_size, padding=model.kernel_size // 2)
    initialise(convolution, model.activation)
    return nn.Sequential(convolution, ACTIVATIONS[model.activation](), nn.MaxPool2d(2))
