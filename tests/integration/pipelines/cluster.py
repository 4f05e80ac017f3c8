"""What the Ray of these tests has, and whether anybody still uses it."""

from typing import Any

import ray

_ray: Any = ray  # these functions of Ray's have no annotations


def total(resource: str) -> int:
    """How much of a resource the cluster has, used or not."""
    return int(_ray.cluster_resources().get(resource, 0))


def is_idle() -> bool:
    """Whether no worker holds a CPU."""
    return bool(_ray.available_resources().get("CPU", 0) == total("CPU"))
