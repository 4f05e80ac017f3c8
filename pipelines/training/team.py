"""How a worker meets the others: alone, or through torch.distributed."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch.distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
"""What workers exchange: whatever can be pickled."""


class Team(Protocol):
    """What the training loop needs to know of the other workers."""

    rank: int
    size: int

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network to run forward and backward, its gradients averaged over the workers."""

    def local(self, network: nn.Module, /) -> AbstractContextManager[None]:
        """Within it, backward passes of a wrapped network accumulate here without meeting the others."""

    def total(self, sums: Tensor) -> Tensor:
        """The sum over all workers."""

    def follow(self, decision: bool, /) -> bool:
        """What worker 0 has decided."""

    def gather(self, mine: T, /) -> list[T]:
        """What each worker has, in the order of their ranks."""


def lost_contact(error: BaseException) -> bool:
    """Whether an exchange failed because another worker is gone; gloo's errors say so by their text alone."""
    return isinstance(error, torch.distributed.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


class Solo:
    """One worker."""

    rank, size = 0, 1

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network itself."""
        return network

    def local(self, _: nn.Module, /) -> AbstractContextManager[None]:
        """Nobody to meet."""
        return nullcontext()

    def total(self, sums: Tensor) -> Tensor:
        """This worker's sums are all there are."""
        return sums

    def follow(self, decision: bool, /) -> bool:
        """Its own decision."""
        return decision

    def gather(self, mine: T, /) -> list[T]:
        """Nobody else has anything."""
        return [mine]


class DistributedTeam:
    """The workers of the process group that torch.distributed has joined."""

    def __init__(self) -> None:
        self.rank, self.size = torch.distributed.get_rank(), torch.distributed.get_world_size()

    def wrap(self, network: nn.Module) -> nn.Module:
        """Averages gradients in the backward pass (DistributedDataParallel)."""
        return DistributedDataParallel(network)

    def local(self, network: nn.Module, /) -> AbstractContextManager[None]:
        """Puts the averaging off to the next backward pass."""
        if not isinstance(network, DistributedDataParallel):
            raise TypeError("only a wrapped network has gradients to average")
        return network.no_sync()

    def total(self, sums: Tensor) -> Tensor:
        """All-reduce."""
        torch.distributed.all_reduce(sums)
        return sums

    def follow(self, decision: bool, /) -> bool:
        """Broadcast of a byte."""
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        told = torch.tensor([decision], dtype=torch.uint8, device=device)
        torch.distributed.broadcast(told, src=0)
        return bool(told)

    def gather(self, mine: T, /) -> list[T]:
        """All-gather, pickled: every worker runs the same code for the same user."""
        everybody: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(everybody, mine)
        return everybody
