"""Batch and layer norm, over whatever the rows are: vectors (B, C), series (B, C, T), images (B, C, H, W)."""

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional

from pipelines.spec.model import Norm

EPSILON = 1e-5
MOMENTUM = 0.1


def normalization(norm: Norm, channels: int) -> list[nn.Module]:
    """The layer that a spec names, as a list that is empty for `none`. It takes (B, C, *), and the steps that count."""
    match norm:
        case "none":
            return []
        case "batch":
            return [BatchNorm(channels)]
        case "layer":
            return [ChannelNorm(channels, eps=EPSILON)]


class ChannelNorm(nn.LayerNorm):
    """Layer norm (Ba et al., 2016) over the channels of each position: no position sees another, nor another row."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:  # noqa: ARG002 - as BatchNorm has it
        """(B, C, *) → (B, C, *)."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class BatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy, 2015) over all rows of a batch, those of other workers too, and all positions.

    y = γ(x - μ) / √(σ² + ε) + β; in training μ and σ² are the batch's, else their running means.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, C, *) → (B, C, *); `valid` (B, 1, T) says which steps count, by default all."""
        if self.training and (valid is not None or _several_workers() or x.numel() <= x.shape[1]):
            return self._train(x, torch.ones_like(x[:, :1]) if valid is None else valid.to(x))
        mean, variance = self.running_mean, self.running_var
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, self.training, MOMENTUM, EPSILON)

    def _train(self, x: Tensor, counts: Tensor) -> Tensor:
        """What torch's own does not know: steps that do not count, rows elsewhere, a batch of one row or none."""
        axes = [axis for axis in range(x.dim()) if axis != 1]
        shape = [-1 if axis == 1 else 1 for axis in range(x.dim())]
        x, counts = x.to(self.weight.dtype), counts.to(self.weight.dtype)  # sums of half precision are none
        count, sums = _total(torch.stack([counts.expand_as(x).sum(axes), (x * counts).sum(axes)]))
        count = count.clamp(min=1)
        mean = sums / count
        centred = x - mean.view(shape)
        variance = _total((centred.square() * counts).sum(axes)) / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            momentum = MOMENTUM * (count > 1).to(mean)  # a single row tells no variance: it must not draw it towards 0
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(unbiased, momentum)
        scale = self.weight * torch.rsqrt(variance + EPSILON)
        return torch.addcmul(self.bias.view(shape), centred, scale.view(shape))


def _several_workers() -> bool:
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def _total(sums: Tensor) -> Tensor:
    """The sum over all workers, through which gradients flow back."""
    if not _several_workers():
        return sums
    total: Tensor = _AllReduce.apply(sums)  # type: ignore[no-untyped-call] # torch leaves it unannotated
    return total


class _AllReduce(torch.autograd.Function):
    """Each worker's loss depends on every worker's sums, so the gradient is the sum over the workers as well."""

    @staticmethod
    def forward(_: object, sums: Tensor) -> Tensor:
        return _reduced(sums)

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        return _reduced(gradient)


def _reduced(sums: Tensor) -> Tensor:
    total = sums.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)
    return total
