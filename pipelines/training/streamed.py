"""Training rows that come from disk, in shards, while a sample of them stays in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.data.draws import RowIds
from pipelines.data.shards import ShardReader
from pipelines.training.slabs import Part, laid_out

_SLABS_AHEAD = 4
"""As many rows as a shard has: while these are trained with, the next shard is read."""


@dataclass(frozen=True)
class Streamed:
    """A `RowSource` whose rows are in shards."""

    reader: ShardReader
    sample: Part
    """Uniform, for whoever measures."""
    groups: tuple[int, ...]
    """Rows of each shard."""
    read_ahead: int = _SLABS_AHEAD

    def __len__(self) -> int:
        return sum(self.groups)

    def take(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Of rows by their place when one shard follows the other. TrainingError if a shard is gone or altered."""
        features, targets = map(torch.from_numpy, self.reader.take(rows.numpy()))
        device = self.sample.features.device
        return (laid_out(features.to(device)),), targets.to(device)

    def ids(self, rows: Tensor) -> RowIds:
        """(N,): where rows are from. TrainingError if a shard is gone or altered."""
        return self.reader.ids(rows.numpy())
