"""Which rows each update and each worker takes. All workers draw the same order, so their shares never overlap."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from pipelines.spec.optimizer import GradientDescent
from pipelines.spec.training_spec import TrainingSpec


@dataclass(frozen=True)
class Update:
    """One step of the optimizer: this worker's rows, in chunks, and how many rows all workers take together.

    A worker's chunk may be empty where a batch has fewer rows than there are workers: it still takes part in the step.
    """

    chunks: list[Tensor]
    num_rows: int


@dataclass(frozen=True)
class Batches:
    """Cuts `num_rows` rows into batches of `batch_size` and deals each batch out to `size` workers, row by row.

    So the batch, and with it the learning rate that fits it, is the same for any number of workers.
    """

    num_rows: int
    batch_size: int
    rank: int
    size: int
    groups: tuple[int, ...] = ()
    """Sizes of groups of rows that are visited one after another, as they come from disk together; rows are drawn into
    them at random. Empty where any row may follow any other."""

    def of_epoch(self, spec: TrainingSpec, epoch: int) -> Iterator[Update]:
        """The updates that training makes in an epoch, from 1."""
        return self.full() if _takes_all(spec) else self.stochastic(spec.seed, epoch)

    def num_updates(self, spec: TrainingSpec) -> int:
        """How many updates an epoch of training has."""
        return 1 if _takes_all(spec) else -(-self.num_rows // self.batch_size)

    def stochastic(self, seed: int, epoch: int) -> Iterator[Update]:
        """An update a batch, in an order drawn from the seed and the epoch."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        for batch in self._batches(generator):
            yield Update([self._share(batch)], len(batch))

    def full(self) -> Iterator[Update]:
        """One update from all rows, in chunks that keep memory flat."""
        batches = torch.split(torch.arange(self.num_rows), self.batch_size)
        yield Update([self._share(batch) for batch in batches], self.num_rows)

    @property
    def share(self) -> int:
        """Rows that a worker takes of a batch, at most: the same number for all of them."""
        return -(-self.batch_size // self.size)

    def _batches(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Of groups only the order of the one at hand is in memory; batches run on over its end into the next."""
        left = torch.empty(0, dtype=torch.int64)
        for order in self._orders(generator):
            *whole, left = torch.split(torch.cat([left, order]), self.batch_size)
            yield from whole
            if len(left) == self.batch_size:
                yield left
                left = left[:0]
        if len(left):
            yield left

    def _orders(self, generator: torch.Generator) -> Iterator[Tensor]:
        if not self.groups:
            yield torch.randperm(self.num_rows, generator=generator)
            return
        starts = list(accumulate(self.groups, initial=0))
        for group in torch.randperm(len(self.groups), generator=generator).tolist():
            yield starts[group] + torch.randperm(self.groups[group], generator=generator)

    def _share(self, batch: Tensor) -> Tensor:
        return batch[self.rank :: self.size] if self.size > 1 else batch


def _takes_all(spec: TrainingSpec) -> bool:
    return isinstance(spec.optimizer, GradientDescent)
