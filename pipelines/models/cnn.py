"""Convolutional network: images (B, C, H, W), series (B, T, F) or tokens (B, T) → (B, outputs)."""

import math
from typing import cast

from torch import Tensor, nn

from pipelines.errors import DataError
from pipelines.models.activations import dense
from pipelines.models.convolution import ConvolutionBlock, GlobalPooling, padded
from pipelines.models.embedding import embedding_of
from pipelines.models.shapes import Answer, RowShape
from pipelines.spec.model import Block, Cnn

_EXPECTED = "[channels, height, width] or [time, features] for model.family cnn"


class ConvolutionalNetwork(nn.Module):
    """Blocks, then flattening or one value a channel, then dense layers."""

    def __init__(self, blocks: nn.ModuleList, pooling: GlobalPooling | None, head: nn.Sequential) -> None:
        super().__init__()
        self.blocks, self.pooling, self.head = blocks, pooling, head

    def forward(self, x: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """(B, C, *) and, of rows (B, C, T), their lengths, by default T → (B, outputs)."""
        for block in self.blocks:
            x, lengths_B = block(x, lengths_B)
        x = padded(x, lengths_B).flatten(1) if self.pooling is None else self.pooling(x, lengths_B)
        return cast("Tensor", self.head(x))


class SeriesNetwork(nn.Module):
    """A convolutional network over time; tokens are looked up first."""

    def __init__(self, embedding: nn.Module, network: ConvolutionalNetwork, example_steps: int) -> None:
        super().__init__()
        self.embedding, self.network, self.example_steps = embedding, network, example_steps

    def forward(self, x: Tensor, lengths_B: Tensor | None = None) -> Tensor:
        """(B, T, F) or tokens (B, T), and the number of steps of each row, by default T → (B, outputs)."""
        lengths_B = None if lengths_B is None else lengths_B.to(x.device)
        return cast("Tensor", self.network(self.embedding(x).transpose(1, 2), lengths_B))


def build_cnn(model: Cnn, row: RowShape, answer: Answer) -> nn.Module:
    """Blocks over an image, or over the time of a series or text. Raises DataError if a row does not fit."""
    if row.vocabulary is not None and model.global_pooling == "none":
        raise DataError("model.global_pooling", "max or average for texts, whose lengths differ", "'none'")
    if len(row.shape) == 3:
        channels, *image = row.shape
        return _network(model, channels, _image_after(model, image), answer)
    embedding, features = embedding_of(row, model.embedding_size, _EXPECTED)
    steps = row.shape[0]
    for block in model.stack:
        steps = math.ceil(_after_stride(steps, block) / block.pool)
    example = 3 * math.prod(block.stride * block.pool for block in model.stack)
    any_length = model.global_pooling != "none"
    return SeriesNetwork(embedding, _network(model, features, [steps], answer), example if any_length else 0)


def _network(model: Cnn, channels: int, sides: list[int], answer: Answer) -> ConvolutionalNetwork:
    blocks = nn.ModuleList()
    for block in model.stack:
        blocks.append(ConvolutionBlock(len(sides), channels, block, model))
        channels = block.channels
    pooled = model.global_pooling != "none"
    flat = channels * (1 if pooled else math.prod(sides))
    layers = dense((flat, *model.hidden), model.activation, answer.numbers, model.norm, model.dropout)
    pooling = GlobalPooling(model.global_pooling) if pooled else None
    return ConvolutionalNetwork(blocks, pooling, nn.Sequential(*layers, *answer.form))


def _image_after(model: Cnn, image: list[int]) -> list[int]:
    """Height and width after the blocks. Raises DataError where nothing would be left."""
    sides, least = image, 1
    for block in model.stack:
        sides = [_after_stride(side, block) // block.pool for side in sides]
    for block in reversed(model.stack):
        least = (least * block.pool - 1) * block.stride + 1
    if 0 in sides:
        given = "blocks" if model.blocks else "channels"
        expected = f"an image of at least {least}×{least} for {len(model.stack)} blocks of model.{given}"
        raise DataError("data.shape", expected, "×".join(map(str, image)))
    return sides


def _after_stride(side: int, block: Block) -> int:
    return (side - 1) // block.stride + 1
