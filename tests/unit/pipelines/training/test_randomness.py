"""All generators of a process begin with the seed and go on from a state."""

import io
import random

import numpy as np
import torch

from pipelines.training.randomness import random_state, seed_all, set_random_state

CPU = torch.device("cpu")


def drawn() -> list[float]:
    """A normal number comes with a second one, which numpy keeps for the next time."""
    return [random.gauss(), random.random(), np.random.normal(), np.random.rand(), *torch.rand(3).tolist()]


def test_a_seed_begins_all_anew() -> None:
    seed_all(2**32 - 1)
    first = drawn()
    assert drawn() != first
    seed_all(2**32 - 1)
    assert drawn() == first


def test_a_state_goes_through_a_file_and_goes_on() -> None:
    seed_all(3)
    drawn()
    file = io.BytesIO()
    torch.save(random_state(CPU), file)
    expected = [drawn(), drawn()]
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True), CPU)
    assert [drawn(), drawn()] == expected


def test_each_worker_draws_numbers_of_its_own() -> None:
    draws = []
    for rank in range(3):
        seed_all(2**32 - 1, rank)
        draws.append(tuple(drawn()))
    assert len(set(draws)) == 3
