"""What makes a network train fast on the hardware at hand: threads, memory layout, bf16, compiled code.

Every choice follows from the spec, the size of the network and the kind of hardware, never from a clock: the same job
on the same kind of machine computes the same bits.
"""

import ctypes
import logging
from contextlib import suppress
from typing import cast

import torch
from torch import Tensor, nn

from pipelines.spec.training import Compute
from pipelines.spec.training_spec import TrainingSpec
from pipelines.training.gradients import perceptron

_log = logging.getLogger(__name__)

_MULTIPLY_ADDS_A_THREAD = 20_000_000
"""Of a step's forward pass: with less, a second thread costs more than it brings."""
_MULTIPLY_ADDS_FOR_BF16 = 500_000
"""Of a row's forward pass through convolutions: with less, casting costs more than it saves."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""glibc's names for what `keep_freed_memory` sets."""


class MixedPrecision(nn.Module):
    """A network whose matrices and kernels are multiplied in bfloat16; weights, gradients and outputs stay float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B, *row), and lengths where rows have them → what the network puts out."""
        # Without the cache: it would keep casts of weights that the optimizer changes meanwhile.
        with torch.autocast(inputs[0].device.type, torch.bfloat16, cache_enabled=False):
            outputs: Tensor = self.network(*inputs)
        return outputs.float()


def accelerated(network: nn.Module, spec: TrainingSpec, features: Tensor) -> nn.Module:
    """The network as training runs it, on the same weights; `features` are the training rows (N, *row)."""
    bf16 = uses_bf16(spec.compute, network, features)
    compiled = spec.compute.compile and (bf16 or perceptron(network) is None)
    _log.info("training in %s%s", "bf16" if bf16 else "fp32", ", compiled" if compiled else "")
    model = cast(nn.Module, torch.compile(network)) if compiled else network
    return MixedPrecision(model) if bf16 else model


def lay_out(network: nn.Module) -> None:
    """Put kernels of 2-D convolutions into memory with their channels last, in place."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stub leaves this form out


def uses_bf16(compute: Compute, network: nn.Module, features: Tensor) -> bool:
    """Whether layers multiply in bfloat16: `auto` takes it for larger convolutions, where the hardware can."""
    if compute.precision != "auto":
        return compute.precision == "bf16"
    convolves = any(isinstance(module, nn.Conv1d | nn.Conv2d) for module in network.modules())
    if not convolves or not _multiplies_bf16(features.device):
        return False
    return multiply_adds(network, features[:2]) >= _MULTIPLY_ADDS_FOR_BF16


def num_threads(compute: Compute, network: nn.Module, features: Tensor, rows: int) -> int:
    """Threads for a worker that takes `rows` rows a step: as many as it has CPUs, if each gets enough to do."""
    if compute.cpus_per_worker == 1:
        return 1
    step = rows * multiply_adds(network, features[:2])
    return max(1, min(compute.cpus_per_worker, step // _MULTIPLY_ADDS_A_THREAD))


def multiply_adds(network: nn.Module, features: Tensor) -> int:
    """How many multiplications a row's forward pass has: each weight counts once for every place it is applied at.

    `features` (B, *row) are a few rows to try it with; biases and norms are not worth counting.
    """
    total = 0

    def count(layer: nn.Module, _: object, outputs: Tensor | tuple[Tensor, ...]) -> None:
        nonlocal total
        weights = [weight for weight in layer.parameters(recurse=False) if weight.dim() > 1]
        if weights:
            states = outputs if isinstance(outputs, Tensor) else outputs[0]
            channels = states.shape[1 if isinstance(layer, nn.Conv1d | nn.Conv2d) else -1]
            total += sum(weight.numel() for weight in weights) * (states.numel() // (len(features) * channels))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    training = network.training
    with torch.no_grad():
        network.eval()(features)
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total


def keep_freed_memory() -> None:
    """Have glibc keep what tensors free, as the next step asks for the same again; without glibc nothing happens.

    By default it gives the kernel back what the top of its heap holds, and every step pays to have it cleared anew: a
    third of the time of a CNN in float32.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_TRIM_THRESHOLD, 2**30)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**25)


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
