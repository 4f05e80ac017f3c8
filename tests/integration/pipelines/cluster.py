"""What the Ray of these tests has, and whether anybody still uses it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import ray

from pipelines.training.launcher import ray_session

_ray: Any = ray  # these functions of Ray's have no annotations


@contextmanager
def local_ray() -> Iterator[None]:
    """A Ray of this process, whatever `RAY_ADDRESS` says, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with ray_session():
            yield


def total(resource: str) -> int:
    """How much of a resource the cluster has, used or not."""
    return int(_ray.cluster_resources().get(resource, 0))


def is_idle() -> bool:
    """Whether no worker holds a CPU."""
    return bool(_ray.available_resources().get("CPU", 0) == total("CPU"))
