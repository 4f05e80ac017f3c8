import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small tensors are fastest on one thread, and sums come out in one order."""
    torch.set_num_threads(1)
