"""Rows in the order in which the updates take them, gathered many batches at a time instead of one row at a time.

A slab is what the loop walks through: whoever can fill slabs (from memory here) can feed the loop.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pipelines.training.batches import Update

_SLAB_BYTES = 8 * 2**20
"""Large enough for hundreds of small batches a gather, small enough to cost no memory worth mentioning."""


@dataclass(frozen=True)
class Part:
    """Rows that stay on the device: scaled features (N, *row) or tokens (N, T), targets (N,) or forecasts (N, H, V)."""

    features: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    """Steps (N,) that count of each row of a padded series, on the CPU; None where all do."""

    def inputs(self, rows: Tensor) -> tuple[Tensor, ...]:
        """What a network takes of these rows, which are indices on the CPU: features, and lengths if rows have them."""
        features = _taken(self.features, rows.to(self.features.device, non_blocking=True))
        return (features,) if self.lengths is None else (features, self.lengths[rows])


class Chunk(NamedTuple):
    """Rows that go through the network together: views of their slab."""

    inputs: tuple[Tensor, ...]
    """What the network takes."""
    targets: Tensor
    num_rows: int
    """That all workers take together in the update that the chunk belongs to."""
    last: bool
    """Whether it is the update's last, after which the optimizer steps."""


@dataclass(frozen=True)
class Slab:
    """Chunks that were gathered together, and all their targets in the same order."""

    chunks: list[Chunk]
    targets: Tensor


def slabs(part: Part, updates: Iterable[Update], share: int) -> Iterator[Slab]:
    """Gather this worker's rows of the updates, in their order; `share` is what a chunk has of them at most.

    Workers whose shares differ by a row have the same chunks in a slab, so that they can pause together after it.
    """
    row_bytes = part.features[0].numel() * part.features.element_size()
    most_rows = max(1, _SLAB_BYTES // max(1, row_bytes))
    most_chunks = -(-most_rows // share)
    waiting: list[tuple[Tensor, int, bool]] = []
    for update in updates:
        for number, rows in enumerate(update.chunks, start=1):
            waiting.append((rows, update.num_rows, number == len(update.chunks)))
            if len(waiting) == most_chunks:
                yield _gathered(part, waiting)
                waiting = []
    if waiting:
        yield _gathered(part, waiting)


def _gathered(part: Part, waiting: list[tuple[Tensor, int, bool]]) -> Slab:
    order = torch.cat([rows for rows, _, _ in waiting])
    sizes = [len(rows) for rows, _, _ in waiting]
    inputs = zip(*(torch.split(each, sizes) for each in part.inputs(order)), strict=True)
    targets = part.targets[order.to(part.targets.device, non_blocking=True)]
    pieces = zip(inputs, torch.split(targets, sizes), waiting, strict=True)
    return Slab([Chunk(x, y, num_rows, last) for x, y, (_, num_rows, last) in pieces], targets)


def _taken(features: Tensor, order: Tensor) -> Tensor:
    """Images come with their channels last in memory, which convolutions and pooling want; their shape stays.

    The strides say so even where there is one channel and both orders are the same: layers look at them.
    """
    taken = features[order]
    if taken.dim() != 4:
        return taken
    _, channels, height, width = taken.shape
    strides = (height * width * channels, 1, width * channels, channels)
    return taken.contiguous(memory_format=torch.channels_last).as_strided(taken.shape, strides)
