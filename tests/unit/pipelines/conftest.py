from collections.abc import Iterator

import pytest
import torch

from tests.operators import built_once


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are fastest on one thread, and sums come out in one order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def one_table_of_operators() -> Iterator[None]:
    with built_once():
        yield
