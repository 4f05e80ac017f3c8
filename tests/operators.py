"""The exporter's table of operators, which torch builds anew for each export, in a second: here once a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from typing import Any

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry


@contextmanager
def built_once() -> Iterator[None]:
    """Within the block every export gets a copy of one table, to which it may add its own translations."""
    registry: Any = ONNXRegistry
    build = cache(registry.from_torchlib)

    def copied(**options: Any) -> ONNXRegistry:  # noqa: ANN401 - torch's own options
        table: ONNXRegistry = copy(build(**options))
        table.functions = {target: [*translations] for target, translations in table.functions.items()}
        return table

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "from_torchlib", staticmethod(copied))
        yield
