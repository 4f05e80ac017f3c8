"""Training rows that come from disk, in shards, while a sample of them stays in memory."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.data.draws import RowIds
from pipelines.data.scaling import Scaling
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
    pixels: Scaling | None = None
    """Of pictures, whose pixels shards hold as they are."""
    read_ahead: int = _SLABS_AHEAD

    def __len__(self) -> int:
        return sum(self.groups)

    def take(self, rows: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Of rows by their place when one shard follows the other. TrainingError if a shard is gone or altered."""
        stored, targets = map(torch.from_numpy, self.reader.take(rows.numpy()))
        known = self.sample.features
        features = stored.to(known.device).to(known.dtype)  # moved first: what is stored takes less
        if self.pixels is not None:
            features = self._scaled(features, self.pixels)
        return (laid_out(features),), targets.to(known.device)

    def ids(self, rows: Tensor) -> RowIds:
        """(N,): where rows are from. TrainingError if a shard is gone or altered."""
        return self.reader.ids(rows.numpy())

    def _scaled(self, features: Tensor, pixels: Scaling) -> Tensor:
        """As `Scaling.apply` does it, to the same bits."""
        mean, deviation = (torch.from_numpy(each).to(features) for each in (pixels.mean, pixels.deviation))
        return features.sub_(mean).div_(deviation)
