"""The random numbers of a worker's process: begun from the spec's seed, kept in checkpoints, gone on with.

Training draws from torch alone: dropout from the generator of the network's device, augmentation from the CPU's. The
order of rows follows from seed and epoch and needs no state. Python's and numpy's own generators are seeded and kept
beside it, so that code which draws from them would not break that a job can be repeated.
"""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_all(seed: int, rank: int = 0) -> None:
    """Begin all generators of this process anew, GPUs' included; each worker of a team draws numbers of its own."""
    seed = (seed + rank) % 2**32
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """Where the generators of this process are, and that of the device; nothing but numbers and tensors."""
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, [int(key) for key in keys], *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Go on from a state."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
