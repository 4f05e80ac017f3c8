"""Rows in the order in which the updates take them, gathered many batches at a time instead of one row at a time.

A slab is what the loop walks through: whoever can fill slabs (a `RowSource`: from memory here) can feed the loop.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from pipelines.data.draws import RowIds
from pipelines.training.batches import Update

_SLAB_BYTES = 8 * 2**20
"""Large enough for hundreds of small batches a gather, small enough to cost no memory worth mentioning."""


class RowSource(Protocol):
    """Rows to train on, wherever they are; a row's index counts from 0."""

    @property
    def sample(self) -> "Part":
        """Rows in memory to measure by: all of them, or a sample."""

    @property
    def groups(self) -> tuple[int, ...]:
        """Sizes of what is read together, see `Batches`."""

    @property
    def read_ahead(self) -> int:
        """How many slabs are filled, in a thread, before they are asked for."""

    def __len__(self) -> int: ...

    def take(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """What a network takes of rows, which are indices on the CPU, and their targets."""

    def ids(self, rows: Tensor) -> RowIds:
        """(N,): where rows, which are indices on the CPU, are from."""


@dataclass(frozen=True)
class Part:
    """Rows that stay on the device: scaled features (N, *row) or tokens (N, T), targets (N,) or forecasts (N, H, V)."""

    features: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    """Steps (N,) that count of each row of a padded series, on the CPU; None where all do."""
    origins: RowIds | None = None
    """(N,): where each row is from; None where they are counted through."""

    groups: tuple[int, ...] = ()
    read_ahead: int = 0

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def sample(self) -> "Part":
        """All rows."""
        return self

    def take(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """What a network takes of these rows, which are indices on the CPU, and their targets."""
        return self.inputs(rows), self.targets[rows.to(self.targets.device, non_blocking=True)]

    def ids(self, rows: Tensor) -> RowIds:
        """(N,): where these rows, which are indices on the CPU, are from."""
        places = rows.numpy()
        return places.astype("uint64") if self.origins is None else self.origins[places]

    def inputs(self, rows: Tensor) -> tuple[Tensor, ...]:
        """What a network takes of these rows, which are indices on the CPU: features, and lengths if rows have them."""
        features = laid_out(self.features[rows.to(self.features.device, non_blocking=True)])
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


def slabs(source: RowSource, updates: Iterable[Update], share: int) -> Iterator[Slab]:
    """Gather this worker's rows of the updates, in their order; `share` is what a chunk has of them at most.

    Workers whose shares differ by a row have the same chunks in a slab, so that they can pause together after it.
    """
    filled = _slabs(source, updates, share)
    return ahead(filled, source.read_ahead) if source.read_ahead else filled


def ahead(items: Iterator[Slab], count: int) -> Iterator[Slab]:
    """The same slabs, of which a thread prepares so many before they are asked for."""
    pool = ThreadPoolExecutor(1)  # of one thread, so that they come one after another
    try:
        waiting = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, items, None))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


def _slabs(source: RowSource, updates: Iterable[Update], share: int) -> Iterator[Slab]:
    row = source.sample.features[0]
    row_bytes = row.numel() * row.element_size()
    most_rows = max(1, _SLAB_BYTES // max(1, row_bytes))
    most_chunks = -(-most_rows // share)
    waiting: list[tuple[Tensor, int, bool]] = []
    for update in updates:
        for number, rows in enumerate(update.chunks, start=1):
            waiting.append((rows, update.num_rows, number == len(update.chunks)))
            if len(waiting) == most_chunks:
                yield _gathered(source, waiting)
                waiting = []
    if waiting:
        yield _gathered(source, waiting)


def _gathered(source: RowSource, waiting: list[tuple[Tensor, int, bool]]) -> Slab:
    order = torch.cat([rows for rows, _, _ in waiting])
    sizes = [len(rows) for rows, _, _ in waiting]
    taken, targets = source.take(order)
    inputs = zip(*(torch.split(each, sizes) for each in taken), strict=True)
    pieces = zip(inputs, torch.split(targets, sizes), waiting, strict=True)
    return Slab([Chunk(x, y, num_rows, last) for x, y, (_, num_rows, last) in pieces], targets)


def laid_out(taken: Tensor) -> Tensor:
    """Images come with their channels last in memory, which convolutions and pooling want; their shape stays.

    The strides say so even where there is one channel and both orders are the same: layers look at them.
    """
    if taken.dim() != 4:
        return taken
    _, channels, height, width = taken.shape
    strides = (height * width * channels, 1, width * channels, channels)
    return taken.contiguous(memory_format=torch.channels_last).as_strided(taken.shape, strides)
